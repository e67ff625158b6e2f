import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import pg from "pg";
import { to as copyTo } from "pg-copy-streams";
import { type Entry, writeArchive } from "./archive.ts";
import { objectsOfRows } from "./objects.ts";
import { quoted, type Table, tablesInOrder } from "./tables.ts";

export const FORMAT = 1;
/** Rows are cut into entries of about this size, `bytes`. */
const PART_BYTES = 4 * 1024 * 1024;
const KEYS_PER_PART = 20_000;

/** First entry: what the archive is of. */
export interface BackupHead {
  format: number;
  made_at: string;
  version: string;
  /** of the schema, in order */
  migrations: string[];
  tables: Table[];
}

/** Last entry: without it, or with another digest, the archive is not whole. */
export interface BackupEnd {
  rows: Record<string, number>;
  objects: number;
  /** of the names and bodies of all entries before */
  sha256: string;
}

/**
 * A backup as bytes: the rows of all tables as one moment saw them, and the keys of all objects that they refer to. The server
 * goes on meanwhile. The stream fails when the database does.
 */
export async function openBackup(databaseUrl: string, version: string): Promise<Readable> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "mags-backup" });
  client.on("error", () => undefined);
  await client.connect();
  const archive = writeArchive(withEnd(entriesOf(client, version)));
  archive.once("close", () => void client.end().catch(() => undefined));
  return archive;
}

type Counts = Omit<BackupEnd, "sha256">;

async function* entriesOf(client: pg.Client, version: string): AsyncGenerator<Entry, Counts> {
  await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  const migrations = await client.query<{ name: string }>("SELECT name FROM migrations ORDER BY name");
  const tables = await tablesInOrder(client);
  const head: BackupHead = {
    format: FORMAT,
    made_at: new Date().toISOString(),
    version,
    migrations: migrations.rows.map(({ name }) => name),
    tables,
  };
  yield { name: "backup.json", body: Buffer.from(`${JSON.stringify(head, null, 2)}\n`) };
  const counts: Counts = { rows: {}, objects: 0 };
  for (const table of tables) counts.rows[table.name] = yield* rowsOf(client, table);
  counts.objects = yield* keysOf(await objectsOfRows(client));
  return counts;
}

async function* rowsOf(client: pg.Client, { name, columns }: Table): AsyncGenerator<Entry, number> {
  const rows = client.query(copyTo(`COPY ${quoted(name)} (${columns.map(quoted).join(", ")}) TO STDOUT`));
  let part = 0;
  let pieces: Buffer[] = [];
  let bytes = 0;
  const entry = () => ({ name: `tables/${name}/${String(++part).padStart(6, "0")}.copy`, body: Buffer.concat(pieces) });
  for await (const piece of rows as AsyncIterable<Buffer>) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes < PART_BYTES) continue;
    yield entry();
    [pieces, bytes] = [[], 0];
  }
  if (bytes > 0) yield entry();
  return rows.rowCount;
}

async function* keysOf(keys: string[]): AsyncGenerator<Entry, number> {
  for (let at = 0; at < keys.length; at += KEYS_PER_PART) {
    const name = `objects/${String(at / KEYS_PER_PART + 1).padStart(6, "0")}.keys`;
    yield { name, body: Buffer.from(`${keys.slice(at, at + KEYS_PER_PART).join("\n")}\n`) };
  }
  return keys.length;
}

async function* withEnd(entries: AsyncGenerator<Entry, Counts>): AsyncGenerator<Entry> {
  const digest = new Digest();
  for (;;) {
    const { value, done } = await entries.next();
    if (done) {
      const end: BackupEnd = { ...value, sha256: digest.value() };
      return yield { name: "end.json", body: Buffer.from(`${JSON.stringify(end, null, 2)}\n`) };
    }
    digest.add(value);
    yield value;
  }
}

/** What proves that entries are those that were written, all and in order. */
export class Digest {
  readonly #hash = createHash("sha256");

  add({ name, body }: Entry): void {
    this.#hash.update(`${name}\0${body.length}\0`).update(body);
  }

  value(): string {
    return this.#hash.digest("hex");
  }
}
