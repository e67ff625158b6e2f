import { link, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeSshKey } from "@mags/kit";
import ssh2 from "ssh2";

const { parseKey } = ssh2.utils;

export interface HostKey {
  /** in OpenSSH's format */
  privateKey: string;
  /** `type base64`, as known_hosts has it */
  publicKey: string;
}

/** The key by which clients know the gateway again; made on the first call, and kept in the data directory. */
export async function ensureHostKey(dataDir: string): Promise<HostKey> {
  const path = join(dataDir, "ssh_host_ed25519_key");
  const existing = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  if (existing.trim() !== "") return toHostKey(existing, path);
  const draft = `${path}.${process.pid}`;
  const file = await open(draft, "w", 0o600);
  try {
    await file.writeFile(makeSshKey("mags").privateKey);
    await file.sync();
  } finally {
    await file.close();
  }
  // An empty file is no key; link(2) fails where another process was first, and then its key holds.
  await rm(path, { force: true });
  await link(draft, path).catch(() => undefined);
  await rm(draft);
  return toHostKey(await readFile(path, "utf8"), path);
}

function toHostKey(privateKey: string, path: string): HostKey {
  const key = parseKey(privateKey);
  if (key instanceof Error || Array.isArray(key)) throw new Error(`${path} is no private key that can be read`);
  return { privateKey, publicKey: `${key.type} ${key.getPublicSSH().toString("base64")}` };
}
