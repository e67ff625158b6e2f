import type { Actor, AuditEntry } from "@mags/protocol";
import type { Queryable } from "../db/database.ts";

export interface NewEntry {
  org: string;
  actor: Actor;
  action: string;
  target: string | null;
  outcome: AuditEntry["outcome"];
  details: AuditEntry["details"];
  requestId: string | null;
  address: string | null;
}

const INSERT = {
  name: "insert_audit",
  text: `INSERT INTO audit (org, actor_kind, actor, action, target, outcome, details, request_id, address)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
};

export async function insertEntry(q: Queryable, entry: NewEntry): Promise<void> {
  await q.query(INSERT, [
    entry.org,
    entry.actor.kind,
    entry.actor.name,
    entry.action,
    entry.target,
    entry.outcome,
    JSON.stringify(entry.details),
    entry.requestId,
    entry.address,
  ]);
}

export interface AuditRow {
  id: string;
  org: string;
  at: Date;
  actor_kind: Actor["kind"];
  actor: string;
  action: string;
  target: string | null;
  outcome: AuditEntry["outcome"];
  details: AuditEntry["details"];
  request_id: string | null;
  address: string | null;
  seq: number;
  prev: string;
  hash: string;
}

const COLUMNS =
  "id, org, at, actor_kind, actor, action, target, outcome, details, request_id, address, seq::float8 AS seq, prev, hash";

export async function openOrganisations(q: Queryable): Promise<string[]> {
  const { rows } = await q.query<{ org: string }>("SELECT DISTINCT org FROM audit WHERE seq IS NULL");
  return rows.map(({ org }) => org);
}

/** One server at a time links the entries of an organisation, until its transaction ends. */
export async function lockChain(tx: Queryable, org: string): Promise<void> {
  await tx.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 7070002))", [org]);
}

/** Oldest first. */
export async function openEntries(tx: Queryable, org: string, limit: number): Promise<AuditRow[]> {
  const text = `SELECT ${COLUMNS} FROM audit WHERE org = $1 AND seq IS NULL ORDER BY id LIMIT $2`;
  return (await tx.query<AuditRow>(text, [org, limit])).rows;
}

export async function sealEntries(
  tx: Queryable,
  entries: Pick<AuditRow, "id" | "seq" | "prev" | "hash">[],
): Promise<void> {
  await tx.query(
    `UPDATE audit SET seq = given.seq, prev = given.prev, hash = given.hash
     FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS given (id, seq, prev, hash) WHERE audit.id = given.id`,
    [entries.map((e) => e.id), entries.map((e) => e.seq), entries.map((e) => e.prev), entries.map((e) => e.hash)],
  );
}

export async function headOf(q: Queryable, org: string): Promise<{ seq: number; hash: string } | undefined> {
  const text =
    "SELECT seq::float8 AS seq, hash FROM audit WHERE org = $1 AND seq IS NOT NULL ORDER BY seq DESC LIMIT 1";
  return (await q.query<{ seq: number; hash: string }>(text, [org])).rows[0];
}

export interface AuditFilter {
  before?: number | undefined;
  action?: string | undefined;
  actor?: string | undefined;
  target?: string | undefined;
}

/** Sealed entries, newest first. */
export async function listEntries(q: Queryable, org: string, filter: AuditFilter, limit: number): Promise<AuditRow[]> {
  const { rows } = await q.query<AuditRow>(
    `SELECT ${COLUMNS} FROM audit WHERE org = $1 AND seq < coalesce($2::bigint, 9223372036854775807)
       AND ($3::text IS NULL OR action = $3) AND ($4::text IS NULL OR actor = $4) AND ($5::text IS NULL OR target = $5)
     ORDER BY seq DESC LIMIT $6`,
    [org, filter.before ?? null, filter.action ?? null, filter.actor ?? null, filter.target ?? null, limit],
  );
  return rows;
}

/** Sealed entries from `seq` on, oldest first. */
export async function entriesFrom(q: Queryable, org: string, seq: number, limit: number): Promise<AuditRow[]> {
  const text = `SELECT ${COLUMNS} FROM audit WHERE org = $1 AND seq >= $2 ORDER BY seq LIMIT $3`;
  return (await q.query<AuditRow>(text, [org, seq, limit])).rows;
}
