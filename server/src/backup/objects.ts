import { fileKey } from "@mags/protocol";
import { chunkKey, decodeManifest, manifestKey, type ObjectStore } from "@mags/storage";
import type pg from "pg";

/** Manifests that are decoded at a time. */
const BATCH = 100;

/** Keys of all objects that the rows refer to, in the order of bytes. Uploaded files are named by the object that names their parts. */
export async function objectsOfRows(client: pg.Client): Promise<string[]> {
  const keys = new Set<string>();
  const files = await client.query<{ org: string; id: string }>("SELECT org, id FROM files WHERE state = 'stored'");
  for (const { org, id } of files.rows) keys.add(fileKey(org, id));
  for await (const { org, name, body } of manifests(client)) {
    keys.add(manifestKey(org, name));
    for (const [, hash, epoch] of decodeManifest(body, name).chunks) keys.add(chunkKey(org, hash, epoch));
  }
  return [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** Uploads expire by themselves, so that one that is missing is no loss. */
export const mayBeGone = (key: string): boolean => /^orgs\/[^/]+\/files\//.test(key);

/** Tells which of many keys, given in order, are missing in the store. One pass over both. */
export class Presence {
  readonly missing: string[] = [];
  checked = 0;
  readonly #listing: AsyncIterator<{ key: string }>;
  #at: string | undefined = "";

  constructor(objects: ObjectStore) {
    this.#listing = objects.list("orgs/")[Symbol.asyncIterator]();
  }

  async expect(key: string): Promise<void> {
    this.checked++;
    while (this.#at !== undefined && Buffer.compare(Buffer.from(this.#at), Buffer.from(key)) < 0) {
      const next = await this.#listing.next();
      this.#at = next.done ? undefined : next.value.key;
    }
    if (this.#at !== key) this.missing.push(key);
  }

  async close(): Promise<void> {
    await this.#listing.return?.();
  }
}

/** Versions that cannot be had without these objects, as `workspace@number`. */
export async function versionsWithout(client: pg.Client, missing: readonly string[]): Promise<string[]> {
  const gone = new Set(missing);
  const found: string[] = [];
  for await (const { org, name, body } of manifests(client)) {
    const whole =
      !gone.has(manifestKey(org, name)) &&
      decodeManifest(body, name).chunks.every(([, hash, epoch]) => !gone.has(chunkKey(org, hash, epoch)));
    if (whole) continue;
    const { rows } = await client.query<{ version: string }>(
      `SELECT w.name || '@' || v.number AS version FROM versions v JOIN workspaces w ON w.id = v.workspace
       WHERE v.org = $1 AND v.manifest = $2 ORDER BY v.number`,
      [org, name],
    );
    found.push(...rows.map(({ version }) => version));
  }
  return found.sort();
}

async function* manifests(client: pg.Client): AsyncGenerator<{ org: string; name: string; body: Buffer }> {
  let after: [string, string] = ["", ""];
  for (;;) {
    const { rows } = await client.query<{ org: string; name: string; body: Buffer }>(
      `SELECT org, name, body FROM manifests WHERE (org, name) > ($1, $2) AND EXISTS (
         SELECT 1 FROM versions v WHERE v.org = manifests.org AND v.manifest = manifests.name)
       ORDER BY org, name LIMIT ${BATCH}`,
      after,
    );
    yield* rows;
    const last = rows.at(-1);
    if (!last) return;
    after = [last.org, last.name];
  }
}
