import type { Queryable } from "../db/database.ts";

export interface WorkspaceRow {
  id: string;
  org: string;
  name: string;
  anonymous: boolean;
  image: string | null;
  disk_gb: number;
  latest: string | null;
  holder_job: string | null;
  fence: number;
  node: string | null;
  dirty: boolean;
  durable_at: Date | null;
  pending_bytes: number;
  last_sync_ms: number | null;
  last_error: string | null;
  created_at: Date;
  used_at: Date;
}

// A holder that is an operation of the API counts until its time is over: nobody is left to let go when its server died.
const COLUMNS = `id, org, name, anonymous, image, disk_gb, latest,
  CASE WHEN hold_until IS NULL OR hold_until > now() THEN holder_job END AS holder_job,
  fence, node, dirty, durable_at, pending_bytes::float8 AS pending_bytes, last_sync_ms, last_error, created_at, used_at`;

/** How much a reader of a row keeps others from doing with it: `use` from deleting it, `write` from everything. */
type Lock = "none" | "use" | "write" | "delete";
const LOCKS: Record<Lock, string> = {
  none: "",
  use: "FOR KEY SHARE",
  write: "FOR NO KEY UPDATE",
  delete: "FOR UPDATE",
};

/** The organisation's workspace of that name. */
export async function findWorkspace(
  q: Queryable,
  org: string,
  name: string,
  lock: Lock = "none",
): Promise<WorkspaceRow | undefined> {
  const { rows } = await q.query<WorkspaceRow>(
    `SELECT ${COLUMNS} FROM workspaces WHERE org = $1 AND name = $2 AND NOT anonymous ${LOCKS[lock]}`,
    [org, name],
  );
  return rows[0];
}

/** Also an anonymous one. */
export async function findWorkspaceById(
  q: Queryable,
  org: string,
  id: string,
  lock: Lock = "none",
): Promise<WorkspaceRow | undefined> {
  const { rows } = await q.query<WorkspaceRow>(
    `SELECT ${COLUMNS} FROM workspaces WHERE org = $1 AND id = $2 ${LOCKS[lock]}`,
    [org, id],
  );
  return rows[0];
}

/** Makes a workspace; false when the name is taken. */
export async function insertWorkspace(
  q: Queryable,
  row: Pick<WorkspaceRow, "id" | "org" | "name" | "anonymous" | "image" | "disk_gb">,
): Promise<boolean> {
  const { rowCount } = await q.query(
    `INSERT INTO workspaces (id, org, name, anonymous, image, disk_gb) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (org, name) WHERE NOT anonymous DO NOTHING`,
    [row.id, row.org, row.name, row.anonymous, row.image, row.disk_gb],
  );
  return rowCount === 1;
}

/** The writer has begun: from now on its node may hold what is not durable. */
export async function markDirty(tx: Queryable, id: string, job: string): Promise<void> {
  await tx.query("UPDATE workspaces SET dirty = true WHERE id = $1 AND holder_job = $2", [id, job]);
}

/** Ends the lease of `job`, if it has it, and tells those who wait. An anonymous workspace ends with its job when `ended`. */
export async function letGo(tx: Queryable, payload: string, id: string, job: string, ended: boolean): Promise<void> {
  await tx.query(
    `WITH gone AS (DELETE FROM workspaces WHERE id = $2 AND anonymous AND $4::boolean RETURNING id),
     freed AS (
       UPDATE workspaces SET holder_job = NULL, hold_until = NULL, used_at = clock_timestamp()
       WHERE id = $2 AND holder_job = $3 AND NOT (anonymous AND $4::boolean) RETURNING id)
     SELECT pg_notify('mags_events', $1) FROM freed`,
    [payload, id, job, ended],
  );
}

/** What keeps jobs from starting: the holder of their workspace, or the node that alone has its newest state. */
export async function blockers(q: Queryable, ids: string[]): Promise<Map<string, WorkspaceRow>> {
  const { rows } = await q.query<WorkspaceRow>(`SELECT ${COLUMNS} FROM workspaces WHERE id = ANY($1)`, [ids]);
  return new Map(rows.map((row) => [row.id, row]));
}

/** Live jobs that name the workspace as theirs, oldest first. */
export async function usersOf(
  q: Queryable,
  id: string,
): Promise<{ id: string; name: string; status: string; persistent: boolean; stopping: boolean }[]> {
  const { rows } = await q.query<{ id: string; name: string; status: string; persistent: boolean; stopping: boolean }>(
    `SELECT id, name, status, persistent, stop_requested_at IS NOT NULL AS stopping FROM jobs
     WHERE workspace = $1 AND status IN ('accepted', 'starting', 'running', 'sleeping') ORDER BY seq`,
    [id],
  );
  return rows;
}

/** What the agents say of their copies. Answers the ids that are no longer the node's. */
export async function noteProgress(
  q: Queryable,
  payload: string,
  node: string,
  told: {
    id: string;
    fence: number;
    pending_bytes: number;
    dirty: boolean;
    durable_at: string | null;
    last_sync_ms: number | null;
    error: string | null;
  }[],
): Promise<{ lost: string[]; freed: boolean }> {
  const { rows } = await q.query<{ id: string; freed: boolean }>(
    `WITH told AS (
       SELECT * FROM jsonb_to_recordset($2) AS t (id uuid, fence integer, pending_bytes bigint, dirty boolean, durable_at timestamptz, last_sync_ms float8, error text)
     ), ours AS (
       SELECT w.id, w.dirty FROM workspaces w JOIN told t ON t.id = w.id AND t.fence = w.fence WHERE w.node = $1 ORDER BY w.id FOR NO KEY UPDATE OF w
     ), noted AS (
       UPDATE workspaces w SET pending_bytes = t.pending_bytes, dirty = t.dirty, durable_at = coalesce(t.durable_at, w.durable_at),
         last_sync_ms = coalesce(t.last_sync_ms, w.last_sync_ms), last_error = t.error
       FROM told t JOIN ours o ON o.id = t.id WHERE w.id = t.id RETURNING w.id, o.dirty AND NOT w.dirty AND w.holder_job IS NULL AS freed
     )
     SELECT id, freed, CASE WHEN freed THEN pg_notify('mags_events', $3) END FROM noted`,
    [node, JSON.stringify(told), payload],
  );
  const kept = new Set(rows.map((row) => row.id));
  return { lost: told.map(({ id }) => id).filter((id) => !kept.has(id)), freed: rows.some((row) => row.freed) };
}

/** A version was made of it `syncMs` after its moment, which is answered. `clean`: the writer writes no more. */
export async function noteCommit(
  tx: Queryable,
  payload: string,
  id: string,
  { syncMs, clean }: { syncMs: number; clean: boolean },
): Promise<Date> {
  const { rows } = await tx.query<{ durable_at: Date }>(
    `UPDATE workspaces SET durable_at = clock_timestamp() - $3::float8 * interval '1 millisecond', last_sync_ms = $3,
       last_error = NULL, pending_bytes = 0, dirty = dirty AND NOT $4::boolean
     WHERE id = $2 RETURNING durable_at, pg_notify('mags_events', $1)`,
    [payload, id, syncMs, clean],
  );
  return rows[0]?.durable_at ?? new Date();
}
