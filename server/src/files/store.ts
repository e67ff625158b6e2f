import type { Selectable } from "kysely";
import type { Database, Queryable } from "../db/database.ts";
import type { FilesTable } from "../db/types.ts";

export type FileRow = Omit<Selectable<FilesTable>, "bytes"> & { bytes: number };

const COLUMNS = "id, org, name, state, bytes::float8 AS bytes, sha256, created_at, used_at, expires_at";
const IN = (parameter: number) => `now() + $${parameter}::double precision * interval '1 second'`;
// A job that has not started yet still needs its files; one that has, has them in its machine.
const WANTED = `EXISTS (SELECT 1 FROM jobs WHERE jobs.org = files.org AND jobs.status IN ('accepted', 'starting')
  AND jobs.spec->'file_ids' ? files.id::text)`;

/** Notes an upload that begins; it is swept when it makes no progress for `idleSeconds`. */
export async function insertFile(db: Queryable, org: string, id: string, name: string, idleSeconds: number) {
  await db.query(`INSERT INTO files (id, org, name, expires_at) VALUES ($1, $2, $3, ${IN(4)})`, [
    id,
    org,
    name,
    idleSeconds,
  ]);
}

/**
 * Notes how far an upload has come and answers what the organisation's files have by now; undefined when the upload was
 * swept meanwhile. Written before it is read: of two uploads at a time one at least sees both.
 */
export async function growFile(db: Queryable, org: string, id: string, bytes: number, idleSeconds: number) {
  const { rowCount } = await db.query(
    `UPDATE files SET bytes = $3, expires_at = ${IN(4)} WHERE id = $1 AND org = $2 AND state = 'uploading'`,
    [id, org, bytes, idleSeconds],
  );
  return rowCount === 1 ? totalBytes(db, org) : undefined;
}

export async function totalBytes(db: Queryable, org: string): Promise<number> {
  const { rows } = await db.query<{ bytes: number }>(
    "SELECT coalesce(sum(bytes), 0)::float8 AS bytes FROM files WHERE org = $1",
    [org],
  );
  return rows[0]?.bytes ?? 0;
}

export async function storeFile(
  db: Queryable,
  org: string,
  id: string,
  { bytes, sha256 }: { bytes: number; sha256: string },
  keptSeconds: number,
): Promise<FileRow | undefined> {
  const { rows } = await db.query<FileRow>(
    `UPDATE files SET state = 'stored', bytes = $3, sha256 = $4, expires_at = ${IN(5)}
     WHERE id = $1 AND org = $2 AND state = 'uploading' RETURNING ${COLUMNS}`,
    [id, org, bytes, sha256, keptSeconds],
  );
  return rows[0];
}

export async function findFile(q: Queryable, org: string, id: string): Promise<FileRow | undefined> {
  const { rows } = await q.query<FileRow>(
    `SELECT ${COLUMNS} FROM files WHERE id = $1 AND org = $2 AND state = 'stored'`,
    [id, org],
  );
  return rows[0];
}

export async function listFiles(db: Database, org: string, limit: number, offset: number) {
  const [page, all] = await Promise.all([
    db.query<FileRow>(
      `SELECT ${COLUMNS} FROM files WHERE org = $1 AND state = 'stored' ORDER BY created_at DESC, id LIMIT $2 OFFSET $3`,
      [org, limit, offset],
    ),
    db.query<{ total: number; bytes: number }>(
      `SELECT count(*)::int AS total, coalesce(sum(bytes), 0)::float8 AS bytes FROM files WHERE org = $1 AND state = 'stored'`,
      [org],
    ),
  ]);
  return { files: page.rows, total: all.rows[0]?.total ?? 0, totalBytes: all.rows[0]?.bytes ?? 0 };
}

/** Marks files as used and locks them until the transaction ends, so that a job that names them has them. */
export async function useFiles(tx: Queryable, org: string, ids: string[], keptSeconds: number): Promise<FileRow[]> {
  const { rows } = await tx.query<FileRow>(
    `UPDATE files SET used_at = clock_timestamp(), expires_at = greatest(expires_at, ${IN(3)})
     WHERE org = $1 AND id = ANY($2::uuid[]) AND state = 'stored' RETURNING ${COLUMNS}`,
    [org, ids, keptSeconds],
  );
  return rows;
}

/** Marks a stored file for removal, unless a job waits for it; the answer says which, undefined is not found. */
export async function condemnFile(tx: Queryable, org: string, id: string): Promise<"condemned" | "wanted" | undefined> {
  const { rows } = await tx.query<{ wanted: boolean }>(
    "SELECT 1 FROM files WHERE id = $1 AND org = $2 AND state = 'stored' FOR UPDATE",
    [id, org],
  );
  if (rows.length === 0) return undefined;
  // A second statement, so that it sees the job that was committed while the first one waited for the row.
  const { rowCount } = await tx.query(
    `UPDATE files SET state = 'deleting', expires_at = now() WHERE id = $1 AND NOT ${WANTED}`,
    [id],
  );
  return rowCount === 1 ? "condemned" : "wanted";
}

/** Takes an upload that failed out of sight. */
export async function abandonFile(db: Queryable, org: string, id: string): Promise<void> {
  await db.query("UPDATE files SET state = 'deleting', expires_at = now() WHERE id = $1 AND org = $2", [id, org]);
}

/** Expired files of all organisations that no job waits for, marked for removal; also those marked before and not removed. */
export async function condemnExpired(tx: Queryable, limit: number): Promise<Pick<FileRow, "org" | "id">[]> {
  const locked = await tx.query<{ id: string }>(
    "SELECT id FROM files WHERE expires_at <= now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED",
    [limit],
  );
  const { rows } = await tx.query<Pick<FileRow, "org" | "id">>(
    `UPDATE files SET state = 'deleting' WHERE id = ANY($1::uuid[]) AND NOT (state = 'stored' AND ${WANTED}) RETURNING org, id`,
    [locked.rows.map(({ id }) => id)],
  );
  return rows;
}

export async function forgetFile(db: Queryable, org: string, id: string): Promise<void> {
  await db.query("DELETE FROM files WHERE id = $1 AND org = $2 AND state = 'deleting'", [id, org]);
}
