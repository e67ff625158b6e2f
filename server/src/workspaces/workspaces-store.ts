import type { JobStatus, ReportWorkspaces, WorkspacesReported } from "@mags/protocol";
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

const COLUMNS = `id, org, name, anonymous, image, disk_gb, latest, holder_job, fence, node, dirty, durable_at, pending_bytes::float8 AS pending_bytes, last_sync_ms, last_error, created_at, used_at`;

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
  await tx.query("UPDATE workspaces SET dirty = closed_fence <> fence WHERE id = $1 AND holder_job = $2", [id, job]);
}

/** Ends the lease of `job`, if it has it, and tells those who wait. An anonymous workspace ends with its job when `ended`. */
export async function letGo(tx: Queryable, payload: string, id: string, job: string, ended: boolean): Promise<void> {
  await tx.query(
    `WITH gone AS (DELETE FROM workspaces WHERE id = $2 AND anonymous AND $4::boolean RETURNING id),
     freed AS (
       UPDATE workspaces SET holder_job = NULL, used_at = clock_timestamp()
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

export interface User {
  id: string;
  name: string;
  status: JobStatus;
  persistent: boolean;
  stopping: boolean;
}

const LIVE = "status IN ('accepted', 'starting', 'running', 'sleeping')";

/** Live jobs that write to the workspace or wait for it, and those that are to start from a version of it; oldest first. */
export async function usersOf(q: Queryable, id: string): Promise<User[]> {
  const { rows } = await q.query<User>(
    `SELECT id, name, status, persistent, stop_requested_at IS NOT NULL AS stopping FROM jobs
     WHERE (workspace = $1 AND ${LIVE})
       OR (base_version IN (SELECT id FROM versions WHERE workspace = $1) AND status IN ('accepted', 'starting'))
     ORDER BY seq`,
    [id],
  );
  return rows;
}

export interface WorkspaceSummary extends WorkspaceRow {
  versions: number;
  job_count: number;
  stored_bytes: number;
  latest_number: number | null;
  content_bytes: number | null;
  synced_at: Date | null;
  users: { request_id: string; name: string; status: JobStatus }[];
}

/** The named workspaces of an organisation with what belongs to them, by name; or the one called `name`. */
export async function summarise(
  q: Queryable,
  org: string,
  options: { name?: string; limit?: number; offset?: number } = {},
): Promise<WorkspaceSummary[]> {
  const { rows } = await q.query<WorkspaceSummary>(
    `SELECT w.*, v.number AS latest_number, v.content_bytes::float8 AS content_bytes, v.created_at AS synced_at,
       history.versions, history.stored_bytes, (SELECT count(*) FROM jobs j WHERE j.workspace = w.id)::int AS job_count,
       coalesce((SELECT jsonb_agg(jsonb_build_object('request_id', j.id, 'name', j.name, 'status', j.status) ORDER BY j.seq)
         FROM jobs j WHERE j.workspace = w.id AND ${LIVE}), '[]') AS users
     FROM (SELECT ${COLUMNS} FROM workspaces WHERE org = $1 AND NOT anonymous AND ($2::text IS NULL OR name = $2)
       ORDER BY name LIMIT $3 OFFSET $4) AS w
     LEFT JOIN versions v ON v.id = w.latest
     CROSS JOIN LATERAL (SELECT count(*)::int AS versions, coalesce(sum(new_bytes), 0)::float8 AS stored_bytes
       FROM versions WHERE workspace = w.id) AS history
     ORDER BY w.name`,
    [org, options.name ?? null, options.limit ?? null, options.offset ?? 0],
  );
  return rows;
}

export async function countWorkspaces(q: Queryable, org: string): Promise<number> {
  const { rows } = await q.query<{ total: number }>(
    "SELECT count(*)::int AS total FROM workspaces WHERE org = $1 AND NOT anonymous",
    [org],
  );
  return rows[0]?.total ?? 0;
}

export async function deleteWorkspace(tx: Queryable, org: string, id: string): Promise<void> {
  await tx.query("DELETE FROM workspaces WHERE org = $1 AND id = $2", [org, id]);
}

/** Id of the workspace that a job has had a machine on, unless another has it now; locked. */
export async function writtenBy(tx: Queryable, org: string, job: string): Promise<string | undefined> {
  const { rows } = await tx.query<{ id: string }>(
    `SELECT w.id FROM workspaces w JOIN jobs j ON j.workspace = w.id
     WHERE j.org = $1 AND j.id = $2 AND j.host_job IS NULL AND j.started_at IS NOT NULL
       AND w.org = $1 AND (w.holder_job IS NULL OR w.holder_job = j.id) FOR NO KEY UPDATE OF w`,
    [org, job],
  );
  return rows[0]?.id;
}

/** What the writer has not made durable is given up: from now on it is refused, and its node told that the workspace is lost to it. */
export async function fenceOff(tx: Queryable, id: string): Promise<void> {
  await tx.query(
    "UPDATE workspaces SET fence = fence + 1, node = NULL, dirty = false, pending_bytes = 0, last_error = NULL WHERE id = $1",
    [id],
  );
}

/** Makes `node` the one that may write to a workspace that no job has; answers the fence. */
export async function reserve(tx: Queryable, org: string, id: string, node: string): Promise<number> {
  const { rows } = await tx.query<{ fence: number }>(
    "UPDATE workspaces SET node = $3, fence = fence + 1 WHERE org = $1 AND id = $2 RETURNING fence",
    [org, id, node],
  );
  return rows[0]?.fence ?? 0;
}

/** Gives an anonymous workspace a name; false when that is taken, or the workspace is gone. */
export async function publish(
  tx: Queryable,
  org: string,
  id: string,
  { name, disk_gb }: Pick<WorkspaceRow, "name" | "disk_gb">,
): Promise<boolean> {
  const { rowCount } = await tx.query(
    `UPDATE workspaces w SET name = $3, anonymous = false, disk_gb = $4, used_at = clock_timestamp()
     WHERE org = $1 AND id = $2 AND NOT EXISTS (SELECT FROM workspaces o WHERE o.org = $1 AND o.name = $3 AND NOT o.anonymous)`,
    [org, id, name, disk_gb],
  );
  return rowCount === 1;
}

/** Anonymous workspaces that belong to no live job: what a server has left that was killed while it imported. */
export async function removeAbandoned(q: Queryable, org: string): Promise<void> {
  await q.query(
    `DELETE FROM workspaces w WHERE org = $1 AND anonymous AND created_at < now() - interval '1 day'
       AND NOT EXISTS (SELECT FROM jobs j WHERE j.workspace = w.id AND j.${LIVE})`,
    [org],
  );
}

export async function setDisk(q: Queryable, org: string, id: string, diskGb: number): Promise<void> {
  await q.query("UPDATE workspaces SET disk_gb = greatest(disk_gb, $3) WHERE org = $1 AND id = $2", [org, id, diskGb]);
}

/** A fork is durable from its first moment. */
export async function setDurable(q: Queryable, id: string): Promise<void> {
  await q.query("UPDATE workspaces SET durable_at = clock_timestamp() WHERE id = $1", [id]);
}

/**
 * What the agents say of their copies. Answers the ids that are no longer the node's, those that are under a higher fence,
 * and how many have begun to fail.
 *
 * Locks first, by a statement of its own: one that both locks and updates would update rows as they were before it waited, and
 * come upon locks of who waits for it, where one of them is also referred to at that moment (a deadlock that was seen).
 */
export async function noteProgress(
  tx: Queryable,
  payload: string,
  node: string,
  told: ReportWorkspaces["workspaces"],
): Promise<WorkspacesReported & { freed: boolean; failed: number }> {
  const locked = await tx.query<{ id: string; fence: number; dirty: boolean; error: string | null }>(
    `SELECT w.id, w.fence, w.dirty, w.last_error AS error
     FROM workspaces w JOIN jsonb_to_recordset($2) AS t (id uuid, fence integer) ON t.id = w.id
     WHERE w.node = $1 AND (t.fence = w.fence OR w.dirty OR w.holder_job IS NOT NULL) ORDER BY w.id FOR NO KEY UPDATE OF w`,
    [node, JSON.stringify(told)],
  );
  const before = new Map(locked.rows.map((row) => [row.id, row]));
  const current = told.filter(({ id, fence }) => before.get(id)?.fence === fence);
  const { rows } = await tx.query<{ id: string; clean: boolean }>(
    `UPDATE workspaces w SET pending_bytes = t.pending_bytes, dirty = t.dirty AND w.closed_fence <> w.fence,
       durable_at = coalesce(t.durable_at, w.durable_at), last_sync_ms = coalesce(t.last_sync_ms, w.last_sync_ms), last_error = t.error
     FROM jsonb_to_recordset($1)
       AS t (id uuid, pending_bytes bigint, dirty boolean, durable_at timestamptz, last_sync_ms float8, error text)
     WHERE w.id = t.id RETURNING w.id, NOT w.dirty AND w.holder_job IS NULL AS clean`,
    [JSON.stringify(current)],
  );
  const freed = rows.some(({ id, clean }) => clean && before.get(id)?.dirty);
  if (freed) await tx.query("SELECT pg_notify('mags_events', $1)", [payload]);
  return {
    lost: told.flatMap(({ id }) => (before.has(id) ? [] : [id])),
    raised: locked.rows
      .filter(({ id }) => !current.some((each) => each.id === id))
      .map(({ id, fence }) => ({ id, fence })),
    freed,
    failed: current.filter(({ id, error }) => error != null && error !== before.get(id)?.error).length,
  };
}

/** A node has nothing of any other workspace than these, so nothing that is not durable; true where one was thought dirty. */
export async function noteAbsent(q: Queryable, payload: string, node: string, present: string[]): Promise<boolean> {
  const { rowCount } = await q.query(
    `WITH clean AS (
       UPDATE workspaces SET dirty = false, pending_bytes = 0, last_error = NULL
       WHERE node = $1 AND dirty AND holder_job IS NULL AND id <> ALL($2::uuid[]) RETURNING id)
     SELECT pg_notify('mags_events', $3) FROM clean`,
    [node, present, payload],
  );
  return rowCount !== 0;
}

/** A version was made of it `syncMs` after its moment, which is answered. `clean`: the writer writes no more. */
export async function noteCommit(
  tx: Queryable,
  payload: string,
  id: string,
  { syncMs, clean }: { syncMs: number; clean: boolean },
): Promise<Date> {
  const { rows } = await tx.query<{ durable_at: Date }>(
    `UPDATE workspaces SET durable_at = now() - $3::float8 * interval '1 millisecond', last_sync_ms = $3,
       last_error = NULL, pending_bytes = 0, dirty = dirty AND NOT $4::boolean,
       closed_fence = CASE WHEN $4::boolean THEN fence ELSE closed_fence END
     WHERE id = $2 RETURNING durable_at, pg_notify('mags_events', $1)`,
    [payload, id, syncMs, clean],
  );
  return rows[0]?.durable_at ?? new Date();
}
