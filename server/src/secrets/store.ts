import { isFinal, jobStatuses } from "@mags/protocol";
import type { Queryable } from "../db/database.ts";

export interface SecretRow {
  org: string;
  name: string;
  version: number;
  key_id: string;
  sealed: Buffer;
  created_by: string | null;
  created_at: Date;
  /** kept for masking alone */
  deleted_at: Date | null;
}

/** The number of a secret's next version; whoever asks after this one waits. */
export async function nextVersion(tx: Queryable, org: string, name: string): Promise<number> {
  const { rows } = await tx.query<{ last: number }>(
    `INSERT INTO secret_numbers AS n (org, name, last) VALUES ($1, $2, 1)
     ON CONFLICT (org, name) DO UPDATE SET last = n.last + 1 RETURNING last`,
    [org, name],
  );
  return rows[0]?.last ?? 1;
}

export async function insertVersion(tx: Queryable, row: Omit<SecretRow, "created_at" | "deleted_at">): Promise<void> {
  await tx.query(
    "INSERT INTO secrets (org, name, version, key_id, sealed, created_by) VALUES ($1, $2, $3, $4, $5, $6)",
    [row.org, row.name, row.version, row.key_id, row.sealed, row.created_by],
  );
}

/** Deletes all versions but the newest `keep`. */
export async function trimVersions(tx: Queryable, org: string, name: string, keep: number): Promise<void> {
  await tx.query(
    `UPDATE secrets SET deleted_at = clock_timestamp() WHERE org = $1 AND name = $2 AND deleted_at IS NULL AND version NOT IN (
       SELECT version FROM secrets WHERE org = $1 AND name = $2 AND deleted_at IS NULL ORDER BY version DESC LIMIT $3)`,
    [org, name, keep],
  );
}

export interface ListedSecret {
  name: string;
  versions: number[];
  created_at: Date;
  updated_at: Date;
  updated_by: string | null;
}

/** All, or those of one name. */
export async function listSecrets(q: Queryable, org: string, name?: string): Promise<ListedSecret[]> {
  const { rows } = await q.query<ListedSecret>(
    `SELECT name, array_agg(version ORDER BY version DESC) AS versions, min(created_at) AS created_at, max(created_at) AS updated_at,
       (array_agg(created_by ORDER BY version DESC))[1] AS updated_by
     FROM secrets WHERE org = $1 AND deleted_at IS NULL AND ($2::text IS NULL OR name = $2) GROUP BY name ORDER BY name`,
    [org, name ?? null],
  );
  return rows;
}

export async function countSecrets(q: Queryable, org: string): Promise<number> {
  const { rows } = await q.query<{ count: number }>(
    "SELECT count(DISTINCT name)::int AS count FROM secrets WHERE org = $1 AND deleted_at IS NULL",
    [org],
  );
  return rows[0]?.count ?? 0;
}

/** With all versions; false when there is none. */
export async function deleteSecret(tx: Queryable, org: string, name: string): Promise<boolean> {
  const text = "UPDATE secrets SET deleted_at = clock_timestamp() WHERE org = $1 AND name = $2 AND deleted_at IS NULL";
  return ((await tx.query(text, [org, name])).rowCount ?? 0) > 0;
}

/** Removes the deleted versions, of `org` or of all, that no job has which may still print them. */
export async function removeDeleted(q: Queryable, org: string | null): Promise<void> {
  await q.query(
    `DELETE FROM secrets s WHERE deleted_at IS NOT NULL AND ($1::text IS NULL OR org = $1) AND NOT EXISTS (
       SELECT 1 FROM jobs j CROSS JOIN jsonb_each_text(j.secrets) AS given
       WHERE j.org = s.org AND j.status = ANY($2::text[]) AND given.value = s.name || '@' || s.version)`,
    [org, jobStatuses.filter((status) => !isFinal(status))],
  );
}

/** Who made a job, as its row says it. */
export async function creatorOf(q: Queryable, org: string, job: string): Promise<string | null> {
  const text = "SELECT created_by FROM jobs WHERE org = $1 AND id = $2";
  return (await q.query<{ created_by: string | null }>(text, [org, job])).rows[0]?.created_by ?? null;
}

/** Versions by name and number, deleted ones too where a number asks for them; number null is the newest. What is not there is left out. */
export async function findVersions(
  q: Queryable,
  org: string,
  wanted: { name: string; version: number | null }[],
): Promise<(SecretRow & { wanted: number | null })[]> {
  const { rows } = await q.query<SecretRow & { wanted: number | null }>(
    `SELECT s.*, given.version AS wanted FROM unnest($2::text[], $3::int[]) AS given (name, version)
     JOIN LATERAL (
       SELECT * FROM secrets WHERE org = $1 AND secrets.name = given.name
         AND (secrets.version = given.version OR given.version IS NULL AND secrets.deleted_at IS NULL)
       ORDER BY secrets.version DESC LIMIT 1) AS s ON true`,
    [org, wanted.map(({ name }) => name), wanted.map(({ version }) => version)],
  );
  return rows;
}

/** Some that were sealed with another key than the current one, of whatever organisation. */
export async function lockOutdated(tx: Queryable, keyId: string, limit: number): Promise<SecretRow[]> {
  const text = "SELECT * FROM secrets WHERE key_id <> $1 ORDER BY org, name, version LIMIT $2 FOR UPDATE SKIP LOCKED";
  return (await tx.query<SecretRow>(text, [keyId, limit])).rows;
}

export async function reseal(
  tx: Queryable,
  { org, name, version, key_id, sealed }: Omit<SecretRow, "created_by" | "created_at" | "deleted_at">,
) {
  await tx.query("UPDATE secrets SET key_id = $4, sealed = $5 WHERE org = $1 AND name = $2 AND version = $3", [
    org,
    name,
    version,
    key_id,
    sealed,
  ]);
}
