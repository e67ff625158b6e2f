import type { AuditEntry, AuditList } from "@mags/protocol";
import type { Database, Queryable } from "../db/database.ts";
import { linkEntries, toEntry } from "./chain.ts";
import {
  type AuditFilter,
  entriesFrom,
  headOf,
  insertEntry,
  listEntries,
  lockChain,
  type NewEntry,
  openEntries,
  openOrganisations,
  sealEntries,
} from "./store.ts";

/** Entries that one transaction links */
const BATCH = 500;

/** Who did what, in a chain of hashes for each organisation: what is changed or taken out later shows. */
export class Audit {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  async note(q: Queryable, entry: NewEntry): Promise<void> {
    await insertEntry(q, entry);
  }

  /** Links what was noted since, of all organisations. */
  async seal(signal: AbortSignal): Promise<void> {
    for (const org of await openOrganisations(this.#db)) if (!signal.aborted) await this.#sealAll(org);
  }

  async list(org: string, filter: AuditFilter, limit: number): Promise<AuditList> {
    await this.#sealAll(org);
    const [rows, head] = await Promise.all([listEntries(this.#db, org, filter, limit), headOf(this.#db, org)]);
    const last = rows.at(-1);
    const next = rows.length === limit && last && last.seq > 1 ? last.seq : null;
    return { entries: rows.map(toEntry), head: head ?? null, next };
  }

  /** All entries from `seq` on, oldest first. */
  async *export(org: string, seq: number): AsyncGenerator<AuditEntry> {
    await this.#sealAll(org);
    for (let from = seq; ; ) {
      const rows = await entriesFrom(this.#db, org, from, BATCH);
      for (const row of rows) yield toEntry(row);
      if (rows.length < BATCH) return;
      from = (rows.at(-1)?.seq ?? from) + 1;
    }
  }

  async #sealAll(org: string): Promise<void> {
    while (await this.#db.transaction((tx) => sealSome(tx, org)));
  }
}

/** True when there may be more. */
async function sealSome(tx: Queryable, org: string): Promise<boolean> {
  await lockChain(tx, org);
  const open = await openEntries(tx, org, BATCH);
  if (open.length > 0) await sealEntries(tx, linkEntries(open, await headOf(tx, org)));
  return open.length === BATCH;
}

export type { NewEntry } from "./store.ts";
