import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Database, Queryable } from "./queryable.ts";

const DIRECTORY = join(import.meta.dirname, "migrations");
/** Any constant will do; it must only differ from other users of advisory locks in the same database. */
const LOCK = 7_070_001;
const MIGRATIONS =
  "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())";

/**
 * Brings the schema up to date: all missing migrations in one transaction, one server at a time.
 * Throws Error when the database was migrated by a newer version of Mags.
 */
export async function migrate(database: Pick<Database, "transaction">): Promise<void> {
  const files = await migrationFiles();
  await database.transaction(async (tx) => {
    await tx.query("SELECT pg_advisory_xact_lock($1)", [LOCK]);
    await tx.query(MIGRATIONS);
    const done = new Set((await tx.query<{ name: string }>("SELECT name FROM migrations")).rows.map((row) => row.name));
    const unknown = [...done].filter((name) => !files.includes(name));
    if (unknown.length > 0) {
      throw new Error(
        `the database was migrated by a newer version of Mags (it has ${unknown.join(", ")}): start that version, or restore an older backup`,
      );
    }
    for (const name of files.filter((file) => !done.has(file))) await apply(tx, name);
  });
}

/** Applies these migrations to an empty database, in the caller's transaction. Throws Error for one that we do not know. */
export async function applyMigrations(tx: Queryable, names: readonly string[]): Promise<void> {
  await tx.query(MIGRATIONS);
  const known = await migrationFiles();
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new Error(`it was made by a newer version of Mags (it has ${unknown.join(", ")}): use that version`);
  for (const name of [...names].sort()) await apply(tx, name);
}

const migrationFiles = async () => (await readdir(DIRECTORY)).filter((name) => /^\d{4}_.+\.sql$/.test(name)).sort();

async function apply(tx: Queryable, name: string): Promise<void> {
  try {
    await tx.query(await readFile(join(DIRECTORY, name), "utf8"));
  } catch (cause) {
    throw new Error(`migration ${name} failed: ${(cause as Error).message}`, { cause });
  }
  await tx.query("INSERT INTO migrations (name) VALUES ($1)", [name]);
}
