import { once } from "node:events";
import type { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import type { ObjectStore } from "@mags/storage";
import pg from "pg";
import { type CopyStreamQuery, from as copyFrom } from "pg-copy-streams";
import { z } from "zod";
import { applyMigrations } from "../db/migrate.ts";
import { BackupError, type Entry, readArchive } from "./archive.ts";
import { Digest, FORMAT } from "./backup.ts";
import { mayBeGone, Presence, versionsWithout } from "./objects.ts";
import { settle } from "./settle.ts";
import { quoted } from "./tables.ts";

const Head = z.object({
  format: z.int(),
  made_at: z.string(),
  version: z.string(),
  migrations: z.array(z.string()),
  tables: z.array(z.object({ name: z.string(), columns: z.array(z.string()) })),
});
type Head = z.infer<typeof Head>;
const End = z.object({ rows: z.record(z.string(), z.number()), objects: z.number(), sha256: z.string() });

export interface RestoreOptions {
  archive: Readable;
  objects: ObjectStore;
  /** empty database to restore into; without it the archive and the objects are only checked */
  databaseUrl: string | undefined;
  /** also when objects are missing: the versions that need them cannot be used then */
  allowMissing: boolean;
}

export interface Restored {
  made_at: string;
  version: string;
  rows: Record<string, number>;
  objects: number;
  missing: string[];
  /** `workspace@number` of those that lack an object */
  lost_versions: string[];
  /** uploads that have expired since */
  expired_files: number;
}

/**
 * Reads a backup to its end, checks that it is whole and that the objects it needs are in the store, and writes its rows, all or
 * none. Throws BackupError with what is wrong.
 */
export async function restoreBackup({
  archive,
  objects,
  databaseUrl,
  allowMissing,
}: RestoreOptions): Promise<Restored> {
  if (databaseUrl === undefined) return read(archive, objects, undefined, allowMissing);
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "mags-restore" });
  client.on("error", () => undefined);
  await client.connect();
  try {
    await client.query("BEGIN");
    await refuseUsed(client);
    const restored = await read(archive, objects, client, allowMissing);
    await client.query("COMMIT");
    return restored;
  } finally {
    await client.end();
  }
}

async function read(
  archive: Readable,
  objects: ObjectStore,
  client: pg.Client | undefined,
  allowMissing: boolean,
): Promise<Restored> {
  const entries = readArchive(archive);
  const digest = new Digest();
  const presence = new Presence(objects);
  let tables: Tables | undefined;
  try {
    const first = await entries.next();
    const head = headOf(first.value);
    digest.add(first.value as Entry);
    tables = client && (await Tables.prepare(client, head));
    for await (const entry of entries) {
      if (entry.name === "end.json") {
        await tables?.close();
        if (client) await setTriggers(client, head, "ENABLE");
        const { rows, objects: count } = checkEnd(entry, digest, tables?.rows, presence.checked);
        if (client) await settle(client, head);
        return await conclude({ head, rows, count, presence, client, allowMissing });
      }
      digest.add(entry);
      if (entry.name.startsWith("objects/"))
        for (const key of entry.body.toString().trimEnd().split("\n")) await presence.expect(key);
      else await tables?.take(entry);
    }
    throw new BackupError("this is no whole backup: its last entry is missing");
  } finally {
    await presence.close();
    await entries.return(undefined);
  }
}

async function conclude(found: {
  head: Head;
  rows: Record<string, number>;
  count: number;
  presence: Presence;
  client: pg.Client | undefined;
  allowMissing: boolean;
}): Promise<Restored> {
  const { head, rows, count, client } = found;
  const missing = found.presence.missing.filter((key) => !mayBeGone(key));
  if (missing.length > 0 && !found.allowMissing)
    throw new BackupError(
      `${missing.length} of ${count} objects are not in the object store, such as ${missing.slice(0, 3).join(", ")}. ` +
        "Check MAGS_STORE, or restore with --allow-missing: the versions that need them cannot be used then",
    );
  return {
    made_at: head.made_at,
    version: head.version,
    rows,
    objects: count,
    missing,
    lost_versions: client && missing.length > 0 ? await versionsWithout(client, missing) : [],
    expired_files: found.presence.missing.length - missing.length,
  };
}

function headOf(entry: Entry | undefined): Head {
  if (entry?.name !== "backup.json") throw new BackupError("this is no backup of Mags");
  const head = Head.safeParse(JSON.parse(entry.body.toString()));
  if (!head.success || head.data.format !== FORMAT)
    throw new BackupError(`the backup has another format than ${FORMAT}: it was made by another version of Mags`);
  return head.data;
}

function checkEnd({ body }: Entry, digest: Digest, written: Record<string, number> | undefined, objects: number) {
  const end = End.parse(JSON.parse(body.toString()));
  const rows = (counts: Record<string, number>) =>
    JSON.stringify(
      Object.entries(counts)
        .filter(([, count]) => count > 0)
        .sort(),
    );
  if (end.sha256 !== digest.value() || end.objects !== objects || (written && rows(written) !== rows(end.rows)))
    throw new BackupError("the backup is damaged: its contents are not those that were written");
  return end;
}

async function refuseUsed(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1 LIMIT 3",
  );
  if (rows.length > 0)
    throw new BackupError(
      `the database is not empty (it has ${rows.map(({ name }) => name).join(", ")}, …): a backup is restored into an empty one only`,
    );
}

/** Rows come as they were: what triggers do of a change was done when it was made, and they keep the audit log from being emptied. */
async function setTriggers(client: pg.Client, head: Head, verb: "DISABLE" | "ENABLE"): Promise<void> {
  for (const { name } of head.tables) await client.query(`ALTER TABLE ${quoted(name)} ${verb} TRIGGER USER`);
}

/** Rows on their way into tables, one table after the other. */
class Tables {
  readonly rows: Record<string, number> = {};
  readonly #client: pg.Client;
  readonly #head: Head;
  #open: { name: string; copy: CopyStreamQuery } | undefined;

  constructor(client: pg.Client, head: Head) {
    this.#client = client;
    this.#head = head;
  }

  /** The schema as it was, with nothing in it. */
  static async prepare(client: pg.Client, head: Head): Promise<Tables> {
    await applyMigrations(client, head.migrations);
    await setTriggers(client, head, "DISABLE");
    if (head.tables.length > 0)
      await client.query(`TRUNCATE ${head.tables.map(({ name }) => quoted(name)).join(", ")} CASCADE`);
    return new Tables(client, head);
  }

  async take({ name, body }: Entry): Promise<void> {
    const table = this.#head.tables.find((known) => name.startsWith(`tables/${known.name}/`));
    if (!table) throw new BackupError(`the backup has an entry ${JSON.stringify(name)} that is no table's`);
    if (this.#open?.name !== table.name) {
      await this.close();
      const text = `COPY ${quoted(table.name)} (${table.columns.map(quoted).join(", ")}) FROM STDIN`;
      this.#open = { name: table.name, copy: this.#client.query(copyFrom(text)) };
      this.#open.copy.on("error", () => undefined);
    }
    if (!this.#open.copy.write(body)) await Promise.race([once(this.#open.copy, "drain"), finished(this.#open.copy)]);
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    const { name, copy } = this.#open;
    this.#open = undefined;
    copy.end();
    await finished(copy).catch((cause: Error) => {
      throw new BackupError(`table ${name} cannot be restored: ${cause.message}`, { cause });
    });
    this.rows[name] = copy.rowCount;
  }
}
