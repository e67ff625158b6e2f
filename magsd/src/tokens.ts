import { randomBytes } from "node:crypto";
import { link, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";

/** Reads the secret `<dir>/<name>.token`; makes it first (mode 0600) where there is none. */
export const ensureToken = (dir: string, name: string): Promise<string> =>
  ensure(join(dir, `${name}.token`), () => `mags_${randomBytes(24).toString("base64url")}`);

/** Reads the keys in `<dir>/secrets.key`, one a line, the current one first; makes one first where there is none. */
export async function ensureSecretKeys(dir: string): Promise<string[]> {
  const text = await ensure(join(dir, "secrets.key"), () => randomBytes(32).toString("base64"));
  return text.split(/\s+/);
}

async function ensure(path: string, make: () => string): Promise<string> {
  const existing = await readFile(path, "utf8").catch(() => "");
  if (existing.trim()) return existing.trim();
  const token = make();
  const draft = `${path}.${process.pid}`;
  const file = await open(draft, "w", 0o600);
  try {
    await file.writeFile(`${token}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  // An empty file would be a secret that everybody knows.
  await rm(path, { force: true });
  // link(2) fails where another process was first; then its token holds.
  const made = await link(draft, path).then(
    () => true,
    () => false,
  );
  await rm(draft);
  return made ? token : (await readFile(path, "utf8")).trim();
}
