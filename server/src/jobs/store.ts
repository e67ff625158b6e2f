import { createHash } from "node:crypto";
import { type CreateJob, type JobStatus, levelOf, type RanBy, type ScriptEnd, scriptSeconds } from "@mags/protocol";
import type { Selectable } from "kysely";
import { type Acting, actorText } from "../db/acting.ts";
import type { Database, Queryable } from "../db/database.ts";
import type { JobsTable } from "../db/types.ts";

/** A job without its specification, which may be large and is needed only to run it. */
export type JobRow = Omit<Selectable<JobsTable>, "spec">;

const columns = [
  "id",
  "org",
  "seq",
  "name",
  "status",
  "persistent",
  "no_sleep",
  "idle_minutes",
  "wakes",
  "sleep_requested_at",
  "activity_because",
  "activity_since",
  "startup_command",
  "vcpus",
  "memory_mb",
  "timeout",
  "isolation",
  "rootfs_type",
  "node",
  "attempt",
  "lease_until",
  "stop_requested_at",
  "created_at",
  "started_at",
  "script_ended_at",
  "completed_at",
  "exit_code",
  "signal",
  "reason",
  "error",
  "script_duration_ms",
  "log_truncated",
  "ran_by",
  "image_digest",
  "node_labels",
  "node_retries",
  "lost_attempts",
  "network",
  "start_version",
  "started_from",
  "rerun_of",
  "workspace",
  "workspace_name",
  "base_version",
  "base_name",
  "host_job",
  "subdomain",
  "created_by",
  "secrets",
  "request_id",
  "cron",
] as const satisfies readonly (keyof JobRow)[];
/** What a JobRow is read from. */
export const COLUMNS = columns.join(", ");

const LIVE = "status IN ('accepted', 'starting', 'running', 'sleeping')";
const NOTIFY = "pg_notify('mags_events', $1)";

type Disk = Pick<JobRow, "workspace" | "workspace_name" | "base_version" | "base_name">;

const INSERT = {
  name: "insert_job",
  text: `WITH job AS (
    INSERT INTO jobs (id, org, name, spec, persistent, no_sleep, startup_command, vcpus, memory_mb, timeout, isolation, rootfs_type,
      workspace, workspace_name, base_version, base_name, idle_minutes, image_digest, node_labels, created_by, request_id, cron, secrets, node_retries)
    VALUES ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $28, $29) RETURNING id
  ), noted AS (
    INSERT INTO audit (org, actor_kind, actor, action, target, details, request_id, address)
    VALUES ($3, $24, $25, 'createJob', $2::text, $26, $22, $27))
    SELECT ${NOTIFY} FROM job`,
};

/** Queues a job, notes who did and notifies the other servers, in one statement. */
export async function insertJob(
  q: Queryable,
  payload: string,
  { id, org, name }: Pick<JobRow, "id" | "org" | "name">,
  job: CreateJob,
  disk: Disk | undefined,
  { actor, requestId, address, cron }: Acting,
): Promise<void> {
  await q.query(INSERT, [
    payload,
    id,
    org,
    name,
    JSON.stringify(job),
    job.persistent,
    job.no_sleep,
    job.startup_command ?? null,
    job.vcpus,
    job.memory_mb,
    scriptSeconds(job),
    levelOf(job) ?? null,
    job.rootfs_type ?? null,
    disk?.workspace ?? null,
    disk?.workspace_name ?? null,
    disk?.base_version ?? null,
    disk?.base_name ?? null,
    job.idle_minutes ?? null,
    job.image_digest ?? null,
    job.node_labels === undefined ? null : JSON.stringify(job.node_labels),
    actorText(actor),
    requestId,
    cron ?? null,
    actor.kind,
    actor.name,
    JSON.stringify(noteOf(name, job)),
    address,
    Object.keys(job.secrets).length === 0 ? null : JSON.stringify(job.secrets),
    job.node_retries,
  ]);
}

/** What the audit log says of a job: nothing that may hold a secret. */
const noteOf = (name: string, job: CreateJob) => ({
  name,
  script_sha256: createHash("sha256").update(job.script).digest("hex"),
  persistent: job.persistent,
  workspace_id: job.workspace_id,
  base_workspace_id: job.base_workspace_id,
});

const FIND = { name: "find_job", text: `SELECT ${COLUMNS} FROM jobs WHERE id = $1 AND org = $2` };
const FIND_LOCKED = { name: "lock_job", text: `${FIND.text} FOR UPDATE` };
const FIND_FOR_NODE = { name: "find_job_for_node", text: `SELECT ${COLUMNS} FROM jobs WHERE id = $1` };
const LOCK_FOR_NODE = { name: "lock_job_for_node", text: `${FIND_FOR_NODE.text} FOR UPDATE` };

/** A job of the organisation; another's is not found. */
export async function findJob(
  q: Queryable,
  org: string,
  id: string,
  options: { lock?: boolean } = {},
): Promise<JobRow | undefined> {
  return (await q.query<JobRow>(options.lock ? FIND_LOCKED : FIND, [id, org])).rows[0];
}

/** The persistent job, if any, in whose machine others run that name this workspace. */
export async function findPersistentHolder(q: Queryable, org: string, workspace: string): Promise<JobRow | undefined> {
  const text = `SELECT ${COLUMNS} FROM jobs WHERE org = $1 AND persistent AND ${LIVE}
    AND id = (SELECT holder_job FROM workspaces WHERE org = $1 AND id = $2)`;
  return (await q.query<JobRow>(text, [org, workspace])).rows[0];
}

/** A job by its public host name, of whatever organisation: a visitor belongs to none. */
export async function findBySubdomain(q: Queryable, subdomain: string): Promise<JobRow | undefined> {
  const text = `SELECT ${COLUMNS} FROM jobs WHERE subdomain = $1`;
  return (await q.query<JobRow>({ name: "find_job_by_subdomain", text }, [subdomain])).rows[0];
}

/** Gives a job its host name, unless it has one; answers the one it has. */
export async function nameHost(q: Queryable, org: string, id: string, subdomain: string): Promise<string | undefined> {
  const { rows } = await q.query<{ subdomain: string }>(
    "UPDATE jobs SET subdomain = coalesce(subdomain, $3) WHERE id = $2 AND org = $1 RETURNING subdomain",
    [org, id, subdomain],
  );
  return rows[0]?.subdomain;
}

/** A job of any organisation: nodes run all of them, gateways lead to all of them. */
export async function findForNode(q: Queryable, id: string): Promise<JobRow | undefined> {
  return (await q.query<JobRow>(FIND_FOR_NODE, [id])).rows[0];
}

/** The same, locked. */
export async function lockJobForNode(tx: Queryable, id: string): Promise<JobRow | undefined> {
  return (await tx.query<JobRow>(LOCK_FOR_NODE, [id])).rows[0];
}

const FIND_LIVE = {
  name: "find_live_job",
  text: `SELECT id FROM (
    SELECT id, 0 AS rank, seq FROM jobs WHERE org = $1 AND name = $2 AND ${LIVE}
    UNION ALL
    SELECT id, CASE WHEN status = 'accepted' OR host_job IS NOT NULL THEN 2 ELSE 1 END, seq FROM jobs
    WHERE org = $1 AND workspace_name = $2 AND ${LIVE}
  ) AS live ORDER BY rank, seq DESC LIMIT 1`,
};

/** Id of the organisation's newest live job of that name; else of the one that has the workspace of that name. */
export async function findLiveByName(q: Queryable, org: string, name: string): Promise<string | undefined> {
  const { rows } = await q.query<{ id: string }>(FIND_LIVE, [org, name]);
  return rows[0]?.id;
}

/** The organisation's live job that has the workspace; one that is in another's machine only where there is no other. */
export async function findLiveOnWorkspace(q: Queryable, org: string, workspace: string): Promise<JobRow | undefined> {
  const { rows } = await q.query<JobRow>(
    `SELECT ${COLUMNS} FROM jobs WHERE org = $1 AND workspace_name = $2 AND ${LIVE}
     ORDER BY status = 'accepted' OR host_job IS NOT NULL, seq DESC LIMIT 1`,
    [org, workspace],
  );
  return rows[0];
}

export interface JobFilter {
  status?: JobStatus | undefined;
  name?: string | undefined;
  workspace?: string | undefined;
}

export async function listJobs(
  db: Database,
  org: string,
  filter: JobFilter,
  limit: number,
  offset: number,
): Promise<{ jobs: JobRow[]; total: number }> {
  let query = db.kysely.selectFrom("jobs").where("org", "=", org);
  if (filter.status) query = query.where("status", "=", filter.status);
  if (filter.name !== undefined) query = query.where("name", "=", filter.name);
  if (filter.workspace !== undefined) query = query.where("workspace_name", "=", filter.workspace);
  const [jobs, count] = await Promise.all([
    query.select(columns).orderBy("seq", "desc").limit(limit).offset(offset).execute(),
    query.select((e) => e.fn.countAll<string>().as("total")).executeTakeFirstOrThrow(),
  ]);
  return { jobs, total: Number(count.total) };
}

const IN_VAIN = {
  name: "suspended_in_vain",
  text: `SELECT given.id FROM unnest($2::uuid[], $3::int[]) AS given (id, wakes) LEFT JOIN jobs ON jobs.id = given.id
    WHERE jobs.id IS NULL OR jobs.status IN ('completed', 'error', 'stopped')
      OR (jobs.status IN ('starting', 'running') AND jobs.node IS DISTINCT FROM $1)
      OR (jobs.status = 'sleeping' AND jobs.wakes > given.wakes)`,
};

/** Of the jobs whose machines sleep on `node` with their memory, those that have ended or are awake elsewhere, or were since. */
export async function suspendedInVain(
  q: Queryable,
  node: string,
  suspended: { id: string; wakes: number }[],
): Promise<string[]> {
  if (suspended.length === 0) return [];
  const ids = suspended.map(({ id }) => id);
  const { rows } = await q.query<{ id: string }>(IN_VAIN, [node, ids, suspended.map(({ wakes }) => wakes)]);
  return rows.map(({ id }) => id);
}

// It waits for nobody: a job that is locked just now is being changed by its own node or user, and must not cost all others of
// the node their leases. It is renewed a second later.
const RENEW = {
  name: "renew_leases",
  text: `WITH given AS (
      SELECT * FROM unnest($2::uuid[], $3::int[], $4::float8[], $5::text[]) AS given (id, attempt, idle_ms, because)
    ), free AS (
      SELECT id FROM jobs WHERE id = ANY($2::uuid[]) FOR NO KEY UPDATE SKIP LOCKED
    ), renewed AS (
      UPDATE jobs SET lease_until = now() + $6::double precision * interval '1 second',
        activity_because = coalesce(given.because, activity_because)
      FROM free JOIN given USING (id)
      WHERE jobs.id = free.id AND jobs.attempt = given.attempt AND jobs.node = $1 AND jobs.status IN ('starting', 'running'))
    SELECT jobs.id, jobs.status, jobs.no_sleep, jobs.idle_minutes, given.idle_ms,
      jobs.stop_requested_at IS NOT NULL AS stop, jobs.sleep_requested_at IS NOT NULL AS sleep
    FROM jobs JOIN given USING (id, attempt) WHERE jobs.node = $1 AND jobs.status IN ('starting', 'running')`,
};

export interface Renewed {
  id: string;
  status: JobStatus;
  no_sleep: boolean;
  idle_minutes: number | null;
  idle_ms: number | null;
  stop: boolean;
  sleep: boolean;
}

/** Extends the leases of those jobs that are still the node's, and returns them. */
export async function renewLeases(
  q: Queryable,
  node: string,
  jobs: { id: string; attempt: number; idle_ms: number | null; because: string | null }[],
  leaseSeconds: number,
): Promise<Renewed[]> {
  const { rows } = await q.query<Renewed>(RENEW, [
    node,
    jobs.map((j) => j.id),
    jobs.map((j) => j.attempt),
    jobs.map((j) => j.idle_ms),
    jobs.map((j) => j.because),
    leaseSeconds,
  ]);
  return rows;
}

const START = {
  name: "job_started",
  text: `WITH job AS (UPDATE jobs SET status = 'running', started_at = coalesce(started_at, clock_timestamp()), ran_by = $3,
      activity_since = CASE WHEN persistent THEN clock_timestamp() END, sleep_requested_at = NULL WHERE id = $2 RETURNING id)
    SELECT ${NOTIFY} FROM job`,
};

export async function markStarted(tx: Queryable, payload: string, id: string, ranBy: RanBy): Promise<void> {
  await tx.query(START, [payload, id, JSON.stringify(ranBy)]);
}

// What is known of the script's end stays as first told: a persistent machine may end for another reason later.
const END = {
  name: "job_ended",
  text: `WITH job AS (
    UPDATE jobs SET status = $3::text, reason = $4::text, error = coalesce($5::text, CASE WHEN $3::text = 'error' THEN error END),
      exit_code = CASE WHEN script_ended_at IS NULL THEN $6::integer ELSE exit_code END,
      signal = CASE WHEN script_ended_at IS NULL THEN $7::text ELSE signal END,
      script_duration_ms = CASE WHEN script_ended_at IS NULL THEN $8::double precision ELSE script_duration_ms END,
      log_truncated = log_truncated OR $9::boolean, ran_by = coalesce($10::jsonb, ran_by),
      started_at = coalesce(started_at, CASE WHEN $10::jsonb IS NOT NULL THEN clock_timestamp() - coalesce($8::double precision, 0) * interval '1 millisecond' END),
      script_ended_at = coalesce(script_ended_at, clock_timestamp()),
      completed_at = CASE WHEN $11::boolean THEN clock_timestamp() END, lease_until = CASE WHEN $11::boolean THEN NULL ELSE lease_until END
    WHERE id = $2 RETURNING id)
    SELECT ${NOTIFY} FROM job`,
};

/** Writes how the script ended; a final `status` ends the job too. */
export async function markEnded(
  tx: Queryable,
  payload: string,
  id: string,
  status: JobStatus,
  final: boolean,
  end: ScriptEnd,
  ranBy: RanBy | null,
): Promise<void> {
  const facts = [
    end.exit_code,
    end.signal,
    end.script_duration_ms,
    end.log_truncated,
    ranBy && JSON.stringify(ranBy),
    final,
  ];
  await tx.query(END, [payload, id, status, end.reason, end.error, ...facts]);
}

/** Ends a job that no node has. */
export async function endWaiting(tx: Queryable, payload: string, id: string): Promise<void> {
  await tx.query(
    `WITH job AS (UPDATE jobs SET status = 'stopped', reason = 'stopped', stop_requested_at = clock_timestamp(), completed_at = clock_timestamp() WHERE id = $2 RETURNING id)
     SELECT ${NOTIFY} FROM job`,
    [payload, id],
  );
}

export async function requestStop(tx: Queryable, id: string): Promise<void> {
  await tx.query("UPDATE jobs SET stop_requested_at = coalesce(stop_requested_at, clock_timestamp()) WHERE id = $1", [
    id,
  ]);
}

export async function updateJob(
  tx: Queryable,
  id: string,
  change: Pick<JobRow, "startup_command" | "no_sleep" | "idle_minutes">,
): Promise<JobRow | undefined> {
  const { rows } = await tx.query<JobRow>(
    `UPDATE jobs SET startup_command = $2, no_sleep = $3, idle_minutes = $4,
       spec = jsonb_strip_nulls(spec || jsonb_build_object('startup_command', $2::text, 'no_sleep', $3::boolean))
     WHERE id = $1 RETURNING ${COLUMNS}`,
    [id, change.startup_command, change.no_sleep, change.idle_minutes],
  );
  return rows[0];
}
