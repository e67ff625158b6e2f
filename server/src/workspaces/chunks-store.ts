import type { Queryable } from "../db/database.ts";

/**
 * Keeps collections of the organisation from beginning until the transaction ends, and answers the number of the last one. It
 * is the epoch of every chunk whose life begins now: no two lives of a chunk share one, because a collection lies between.
 */
export async function holdCollection(tx: Queryable, org: string): Promise<number> {
  const { rows } = await tx.query<{ collection: number }>(
    "SELECT collection FROM organisations WHERE id = $1 FOR SHARE",
    [org],
  );
  return rows[0]?.collection ?? 0;
}

/** Notes that somebody is about to refer to these chunks. Answers in the order of the hashes. */
export async function claimChunks(
  tx: Queryable,
  org: string,
  collection: number,
  chunks: { hash: string; bytes: number }[],
): Promise<{ hash: string; epoch: number; missing: boolean }[]> {
  // In the order of their hashes, so that two callers cannot wait for each other.
  const { rows } = await tx.query<{ hash: string; epoch: number; missing: boolean }>(
    `INSERT INTO chunks AS c (org, hash, epoch, bytes, state, claimed_at)
     SELECT DISTINCT ON (hash) $1, hash, $2::integer, bytes, 'claimed', clock_timestamp() FROM unnest($3::text[], $4::bigint[]) AS t (hash, bytes) ORDER BY hash
     ON CONFLICT (org, hash) DO UPDATE SET claimed_at = clock_timestamp()
     RETURNING hash, epoch, state <> 'stored' AS missing`,
    [org, collection, chunks.map(({ hash }) => hash), chunks.map(({ bytes }) => bytes)],
  );
  const byHash = new Map(rows.map((row) => [row.hash, row]));
  return chunks.map(({ hash }) => byHash.get(hash) as (typeof rows)[number]);
}

/** Locks the rows of these chunks, in the order of their hashes, and answers those that are of that epoch. */
export async function lockChunks(
  tx: Queryable,
  org: string,
  chunks: { hash: string; epoch: number }[],
): Promise<{ hash: string; stored: boolean }[]> {
  const { rows } = await tx.query<{ hash: string; stored: boolean }>(
    `SELECT c.hash, c.state = 'stored' AS stored FROM chunks c
     WHERE c.org = $1 AND (c.hash, c.epoch) IN (SELECT * FROM unnest($2::text[], $3::integer[]))
     ORDER BY c.hash FOR NO KEY UPDATE`,
    [org, chunks.map(({ hash }) => hash), chunks.map(({ epoch }) => epoch)],
  );
  return rows;
}

/** Writes that these chunks are in the object store. */
export async function markStored(
  tx: Queryable,
  org: string,
  stored: { hash: string; epoch: number; stored_bytes: number }[],
  manifest: string,
): Promise<void> {
  await tx.query(
    `UPDATE chunks c SET state = 'stored', stored_bytes = coalesce(c.stored_bytes, t.stored_bytes), is_manifest = c.hash = $5
     FROM unnest($2::text[], $3::integer[], $4::bigint[]) AS t (hash, epoch, stored_bytes)
     WHERE c.org = $1 AND c.hash = t.hash AND c.epoch = t.epoch`,
    [org, stored.map((s) => s.hash), stored.map((s) => s.epoch), stored.map((s) => s.stored_bytes), manifest],
  );
}

/** A version that is being committed refers to these: a collection that has begun before must see that. */
export async function touchChunks(tx: Queryable, org: string, hashes: string[]): Promise<void> {
  await tx.query("UPDATE chunks SET claimed_at = clock_timestamp() WHERE org = $1 AND hash = ANY($2)", [org, hashes]);
}

/** What the organisation has in the object store, each chunk counted once. */
export async function storedBytes(q: Queryable, org: string): Promise<number> {
  const { rows } = await q.query<{ bytes: number }>(
    "SELECT coalesce(sum(stored_bytes), 0)::float8 AS bytes FROM chunks WHERE org = $1 AND state = 'stored'",
    [org],
  );
  return rows[0]?.bytes ?? 0;
}
