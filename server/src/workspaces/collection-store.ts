import { chunkKey, manifestKey } from "@mags/storage";
import type { Queryable } from "../db/database.ts";

export async function organisations(q: Queryable): Promise<string[]> {
  return (await q.query<{ id: string }>("SELECT id FROM organisations ORDER BY id")).rows.map(({ id }) => id);
}

/** A moment at which no claim or commit was under way. */
export interface Barrier {
  /** chunks whose last claim is older may go */
  cutoff: Date;
  /** manifests of all versions there are */
  manifests: string[];
  /** chunks that may go, epoch by hash */
  candidates: Map<string, number>;
}

/** Begins a collection. Whoever claims or commits is waited for, and waits while this reads. */
export async function openCollection(tx: Queryable, org: string, graceMs: number): Promise<Barrier> {
  await tx.query("UPDATE organisations SET collection = collection + 1 WHERE id = $1", [org]);
  const { rows: clock } = await tx.query<{ cutoff: Date }>(
    "SELECT clock_timestamp() - $1::float8 * interval '1 millisecond' AS cutoff",
    [graceMs],
  );
  const cutoff = clock[0]?.cutoff ?? new Date(0);
  await tx.query(
    "DELETE FROM manifests m WHERE org = $1 AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.org = m.org AND v.manifest = m.name)",
    [org],
  );
  const manifests = await tx.query<{ name: string }>("SELECT name FROM manifests WHERE org = $1", [org]);
  const chunks = await tx.query<{ hash: string; epoch: number }>(
    "SELECT hash, epoch FROM chunks WHERE org = $1 AND claimed_at < $2",
    [org, cutoff],
  );
  return {
    cutoff,
    manifests: manifests.rows.map(({ name }) => name),
    candidates: new Map(chunks.rows.map(({ hash, epoch }) => [hash, epoch])),
  };
}

/** Forgets these chunks unless they were claimed or committed since, and notes that their objects have to go. */
export async function condemn(
  tx: Queryable,
  org: string,
  cutoff: Date,
  chunks: { hash: string; epoch: number }[],
): Promise<void> {
  const { rows } = await tx.query<{ hash: string; epoch: number; is_manifest: boolean | null; stored_bytes: number }>(
    `WITH free AS (
       SELECT hash FROM chunks WHERE org = $1 AND claimed_at < $2
         AND (hash, epoch) IN (SELECT * FROM unnest($3::text[], $4::integer[])) ORDER BY hash FOR UPDATE SKIP LOCKED)
     DELETE FROM chunks c USING free WHERE c.org = $1 AND c.hash = free.hash
     RETURNING c.hash, c.epoch, c.is_manifest, coalesce(c.stored_bytes, 0)::float8 AS stored_bytes`,
    [org, cutoff, chunks.map(({ hash }) => hash), chunks.map(({ epoch }) => epoch)],
  );
  await writeDown(tx, org, rows);
}

/** Of an upload that came too late: what it has stored under epochs that are over. No row will ever have them again. */
export async function condemnStrays(
  tx: Queryable,
  org: string,
  stored: { hash: string; epoch: number; stored_bytes: number }[],
): Promise<void> {
  const { rows } = await tx.query<{ hash: string; epoch: number; is_manifest: null; stored_bytes: number }>(
    `SELECT t.hash, t.epoch, NULL AS is_manifest, t.stored_bytes::float8 AS stored_bytes
     FROM unnest($2::text[], $3::integer[], $4::bigint[]) AS t (hash, epoch, stored_bytes), organisations o
     WHERE o.id = $1 AND t.epoch < o.collection
       AND NOT EXISTS (SELECT 1 FROM chunks c WHERE c.org = $1 AND c.hash = t.hash AND c.epoch = t.epoch)`,
    [org, stored.map(({ hash }) => hash), stored.map(({ epoch }) => epoch), stored.map((each) => each.stored_bytes)],
  );
  await writeDown(tx, org, rows);
}

async function writeDown(
  tx: Queryable,
  org: string,
  rows: { hash: string; epoch: number; is_manifest: boolean | null; stored_bytes: number }[],
): Promise<void> {
  const objects = rows.flatMap(({ hash, epoch, is_manifest, stored_bytes }) => {
    // Of what was claimed and never committed nobody has said what it is.
    const keys = [
      ...(is_manifest === true ? [] : [chunkKey(org, hash, epoch)]),
      ...(is_manifest === false ? [] : [manifestKey(org, `${hash}.${epoch}`)]),
    ];
    return keys.map((key) => ({ key, bytes: stored_bytes }));
  });
  // Each once, and in order, so that two who write cannot wait for each other.
  await tx.query(
    `INSERT INTO condemned_objects (org, key, bytes)
     SELECT DISTINCT ON (key) $1, key, bytes FROM unnest($2::text[], $3::bigint[]) AS t (key, bytes) ORDER BY key
     ON CONFLICT (org, key) DO UPDATE SET deleted = false, condemned_at = clock_timestamp()`,
    [org, objects.map(({ key }) => key), objects.map(({ bytes }) => bytes)],
  );
}

export interface Condemned {
  key: string;
  bytes: number;
  deleted: boolean;
}

/** Objects to delete: those that have not been yet, and once more those condemned before `cutoff`. In order, after `after`. */
export async function condemned(
  q: Queryable,
  org: string,
  cutoff: Date,
  after: string,
  limit: number,
): Promise<Condemned[]> {
  const { rows } = await q.query<Condemned>(
    `SELECT key, bytes::float8 AS bytes, deleted FROM condemned_objects
     WHERE org = $1 AND key > $3 AND (NOT deleted OR condemned_at < $2) ORDER BY key LIMIT $4`,
    [org, cutoff, after, limit],
  );
  return rows;
}

/** Notes that the objects are deleted; the rows of those condemned before `cutoff` are not needed any more. */
export async function noteDeleted(q: Queryable, org: string, cutoff: Date, keys: string[]): Promise<void> {
  await q.query(
    `WITH done AS (DELETE FROM condemned_objects WHERE org = $1 AND key = ANY($3) AND deleted AND condemned_at < $2)
     UPDATE condemned_objects SET deleted = true WHERE org = $1 AND key = ANY($3) AND NOT deleted`,
    [org, cutoff, keys],
  );
}

/** Workspaces with more versions than `keep`, and when each was made. */
export async function longHistories(
  q: Queryable,
  org: string,
  keep: number,
): Promise<{ workspace: string; versions: { id: string; number: number; created_at: Date }[] }[]> {
  const { rows } = await q.query<{ workspace: string; id: string; number: number; created_at: Date }>(
    `SELECT workspace, id, number, created_at FROM versions v WHERE org = $1
       AND workspace IN (SELECT workspace FROM versions WHERE org = $1 GROUP BY workspace HAVING count(*) > $2)
     ORDER BY workspace, number`,
    [org, keep],
  );
  const histories = Map.groupBy(rows, ({ workspace }) => workspace);
  return [...histories].map(([workspace, versions]) => ({ workspace, versions }));
}

/** Deletes versions that are neither the latest nor wanted by a job that has not started; answers how many. */
export async function expireVersions(tx: Queryable, org: string, workspace: string, ids: string[]): Promise<number> {
  await tx.query("SELECT 1 FROM workspaces WHERE org = $1 AND id = $2 FOR NO KEY UPDATE", [org, workspace]);
  const locked = await tx.query<{ id: string }>(
    "SELECT id FROM versions WHERE org = $1 AND id = ANY($2) FOR UPDATE SKIP LOCKED",
    [org, ids],
  );
  // A second statement: it sees the job that was committed while the first one waited.
  const { rowCount } = await tx.query(
    `DELETE FROM versions v WHERE id = ANY($1)
       AND NOT EXISTS (SELECT 1 FROM workspaces w WHERE w.id = v.workspace AND w.latest = v.id)
       AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.base_version = v.id AND j.status IN ('accepted', 'starting'))`,
    [locked.rows.map(({ id }) => id)],
  );
  return rowCount ?? 0;
}
