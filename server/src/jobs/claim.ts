import type { Assignment } from "@mags/protocol";
import type { Queryable } from "../db/database.ts";

export interface Room {
  node: string;
  bootId: string;
  vcpus: number;
  memoryMb: number;
  max: number;
  vm: boolean;
  rootfsTypes: string[];
  imageDigests: string[];
  labels: Record<string, string>;
  leaseSeconds: number;
  /** nodes have had time to be heard, so the silence of one means something */
  silenceCounts: boolean;
}

/** The disk of job `j`, whose workspace is `w` (if it writes to one) and which starts from version `v` (if from any). */
const volume = (fence: string, dirty: string) => `
  CASE WHEN w.id IS NULL AND v.id IS NULL THEN NULL ELSE jsonb_build_object(
    'workspace', CASE WHEN w.id IS NOT NULL THEN jsonb_build_object('id', w.id, 'name', w.name, 'fence', ${fence}) END,
    'version', CASE WHEN v.id IS NOT NULL THEN
      jsonb_build_object('id', v.id, 'number', v.number, 'manifest', v.manifest, 'volume_bytes', v.volume_bytes) END,
    'source', CASE WHEN v.id IS NULL THEN 'empty' WHEN v.id = w.latest THEN 'latest' ELSE 'base' END,
    'disk_gb', greatest((j.spec ->> 'disk_gb')::float8, w.disk_gb, v.volume_bytes / 1073741824.0),
    'dirty', coalesce(${dirty}, false)) END AS volume`;

const WAKE =
  "CASE WHEN j.wakes > 0 THEN jsonb_build_object('count', j.wakes, 'because', coalesce(j.activity_because, '')) END AS wake";

const FITS = `(j.vcpus <= $3 + 1e-9 AND j.memory_mb <= $4
      AND (j.isolation IS DISTINCT FROM 'vm' OR $6) AND (j.rootfs_type IS NULL OR j.rootfs_type = ANY($7)
        OR EXISTS (SELECT FROM unnest($7::text[]) AS offered WHERE right(offered, 1) = '/' AND starts_with(j.rootfs_type, offered)))
      AND (j.image_digest IS NULL OR j.image_digest = ANY($9)) AND (j.node_labels IS NULL OR $10::jsonb @> j.node_labels))`;
// A claim may be held for a node that has died meanwhile; whoever lives renews each second, which is noted every three.
const REGISTERED =
  "EXISTS (SELECT 1 FROM nodes WHERE name = $1 AND boot_id = $2 AND draining_since IS NULL AND seen_at > now() - interval '6 seconds')";

/**
 * The oldest that fit one by one are locked; of those the ones are taken whose running sums still fit together. The tiny
 * allowance is for sums of fractions such as 0.1. Rows another node is taking right now are skipped, not waited for.
 *
 * A job that writes to a workspace must get its lease too, here, so that there is never a job without one: of those that
 * wait for it the oldest does, and `leases` locks the workspaces that nobody holds. What is not durable is on one node only,
 * and the job is left to it unless that node has been silent for 30 s, or for a lease where the job had the workspace already
 * and is to start again (its machine may not be away), neither right after a time in which no node could be heard; a node that merely has the newest copy gets 2 s, and
 * none while it is drained; from the wake on where it may have put the machine away with its memory. Where
 * the workspace's machine is up for a persistent job, `host` is that job and the new one needs no room. A job that was asleep
 * has its workspace all the time: it goes before those that wait for it. For jobs without a
 * workspace all this costs 0.06 ms a claim.
 */
const CLAIM = {
  name: "claim_jobs",
  text: `WITH plain AS (
    SELECT id, seq, vcpus, memory_mb FROM jobs j
    WHERE status = 'accepted' AND workspace IS NULL AND ${FITS} AND ${REGISTERED}
    ORDER BY seq LIMIT $5 FOR UPDATE SKIP LOCKED
  ), keeping AS (
    SELECT j.id, j.seq, j.workspace, h.id AS host,
      CASE WHEN h.id IS NULL THEN j.vcpus ELSE 0 END AS vcpus, CASE WHEN h.id IS NULL THEN j.memory_mb ELSE 0 END AS memory_mb
    FROM jobs j
    JOIN workspaces w ON w.id = j.workspace
    LEFT JOIN jobs h ON h.id = w.holder_job AND h.status = 'running' AND h.persistent AND h.node = $1 AND h.stop_requested_at IS NULL
    LEFT JOIN nodes n ON n.name = w.node
    WHERE j.status = 'accepted' AND j.workspace IS NOT NULL AND ${REGISTERED}
      AND (h.id IS NOT NULL OR (${FITS}
        AND (w.holder_job = j.id OR (w.holder_job IS NULL
          AND NOT EXISTS (SELECT 1 FROM jobs e WHERE e.workspace = j.workspace AND e.seq < j.seq AND e.status = 'accepted'))) AND (
        w.node IS NULL OR w.node = $1 OR n.seen_at IS NULL
        OR ($11 AND n.seen_at < now() - CASE WHEN w.holder_job = j.id THEN interval '8 seconds' ELSE interval '30 seconds' END)
        OR (NOT w.dirty AND (n.draining_since IS NOT NULL OR greatest(w.used_at, j.created_at,
          CASE WHEN w.holder_job = j.id AND j.spec ->> 'sleep' = 'suspend' THEN j.activity_since END) < now() - interval '2 seconds')))))
    ORDER BY j.seq LIMIT $5 FOR UPDATE OF j SKIP LOCKED
  ), leases AS (
    SELECT id, fence, name, latest, disk_gb, used_at, dirty AND node = $1 AS dirty FROM workspaces
    WHERE id IN (SELECT workspace FROM keeping WHERE host IS NULL)
      AND (holder_job IS NULL OR holder_job IN (SELECT id FROM keeping))
    FOR NO KEY UPDATE SKIP LOCKED
  ), hosts AS (
    SELECT id FROM jobs WHERE id IN (SELECT host FROM keeping) AND status = 'running' FOR SHARE SKIP LOCKED
  ), sums AS (
    SELECT id, seq, host, workspace, sum(vcpus) OVER (ORDER BY seq) AS vcpus, sum(memory_mb) OVER (ORDER BY seq) AS memory_mb
    FROM (
      SELECT id, seq, NULL::uuid AS host, NULL::uuid AS workspace, vcpus, memory_mb FROM plain
      UNION ALL
      SELECT id, seq, host, workspace, vcpus, memory_mb FROM keeping
      WHERE host IN (SELECT id FROM hosts) OR (host IS NULL AND workspace IN (SELECT id FROM leases))
      ORDER BY seq LIMIT $5
    ) AS waiting
  ), taken AS (
    UPDATE jobs SET status = 'starting', node = $1, attempt = attempt + 1, host_job = sums.host,
      lease_until = now() + $8::double precision * interval '1 second',
      start_version = CASE WHEN started_at IS NOT NULL THEN start_version WHEN sums.host IS NULL THEN coalesce(begin.latest, base_version) END,
      started_from = CASE WHEN started_at IS NOT NULL THEN started_from WHEN sums.host IS NULL THEN (
        SELECT w.name || '@' || v.number FROM versions v JOIN workspaces w ON w.id = v.workspace
        WHERE v.id = coalesce(begin.latest, base_version) AND NOT w.anonymous) END
    FROM sums LEFT JOIN leases begin ON begin.id = sums.workspace WHERE jobs.id = sums.id AND sums.vcpus <= $3 + 1e-9 AND sums.memory_mb <= $4
    RETURNING jobs.id, jobs.seq, jobs.org, jobs.attempt, jobs.name, jobs.spec, jobs.workspace, jobs.base_version, jobs.host_job, jobs.created_at,
      jobs.wakes, jobs.activity_because, jobs.request_id
  ), held AS (
    UPDATE workspaces w SET holder_job = j.id, fence = w.fence + 1, node = $1, used_at = clock_timestamp(),
      disk_gb = greatest(w.disk_gb, (j.spec ->> 'disk_gb')::float8)
    FROM taken j WHERE w.id = j.workspace AND j.host_job IS NULL
  ) SELECT j.id, j.org, j.attempt, j.name, j.spec, j.host_job, j.request_id,
      ${WAKE},
      CASE WHEN w.used_at > j.created_at AND j.wakes = 0 THEN (extract(epoch FROM clock_timestamp() - j.created_at) * 1000)::float8 END AS waited_ms,
      CASE WHEN j.wakes = 0 THEN (extract(epoch FROM clock_timestamp() - j.created_at) * 1000)::float8 END AS queued_ms,
      ${volume("w.fence + 1", "w.dirty")}
    FROM taken j
    LEFT JOIN leases w ON w.id = j.workspace AND j.host_job IS NULL
    LEFT JOIN versions v ON v.id = CASE WHEN j.host_job IS NULL THEN coalesce(w.latest, j.base_version) END
    ORDER BY j.seq`,
};

export interface Claimed extends Assignment {
  /** since its POST, `ms`; null for one that has waited for a wake only */
  queued_ms: number | null;
}

/** Takes the oldest waiting jobs that fit, at most `max`, for a node, and the workspaces they write to. */
export async function claimJobs(q: Queryable, room: Room): Promise<Claimed[]> {
  const values = [
    room.node,
    room.bootId,
    room.vcpus,
    Math.floor(room.memoryMb),
    room.max,
    room.vm,
    room.rootfsTypes,
    room.leaseSeconds,
    room.imageDigests,
    JSON.stringify(room.labels),
    room.silenceCounts,
  ];
  return (await q.query<Claimed>(CLAIM, values)).rows;
}

/** Puts a claimed job back that has not begun; the attempt stays used, so a late receiver is fenced off. */
export async function releaseJob(q: Queryable, payload: string, job: { id: string; attempt: number }): Promise<void> {
  await q.query(
    `WITH back AS (
       UPDATE jobs SET status = 'accepted', node = NULL, host_job = NULL, lease_until = NULL, attempt = attempt + 1
       WHERE id = $2 AND attempt = $3 AND status = 'starting' AND (started_at IS NULL OR wakes > 0)
       RETURNING id, workspace, wakes
     ), free AS (
       UPDATE workspaces w SET holder_job = NULL FROM back
       WHERE w.id = back.workspace AND w.holder_job = back.id AND back.wakes = 0)
     SELECT pg_notify('mags_events', $1) FROM back`,
    [payload, job.id, job.attempt],
  );
}

/**
 * Jobs the node still holds. `bump` fences off the process that had them and gives the new one a fresh lease. With `has` only
 * those that were given to it and that it does not know.
 */
export async function heldJobs(
  tx: Queryable,
  node: string,
  bump: boolean,
  leaseSeconds: number,
  has: string[] | null = null,
): Promise<Assignment[]> {
  // By a statement of its own, see noteProgress.
  const mine = await tx.query<{ id: string }>(
    `SELECT id FROM jobs WHERE node = $1 AND status IN ('starting', 'running') AND ($2::uuid[] IS NULL OR status = 'starting' AND id <> ALL($2))
     ORDER BY id FOR NO KEY UPDATE`,
    [node, has],
  );
  const { rows } = await tx.query<Assignment>(
    `WITH j AS (
       UPDATE jobs SET attempt = attempt + $2, lease_until = now() + $3::double precision * interval '1 second'
       WHERE id = ANY($4::uuid[]) AND node = $1 AND status IN ('starting', 'running')
       RETURNING jobs.id, org, attempt, name, spec, workspace, base_version, host_job, wakes, activity_because, request_id, status)
     SELECT j.id, j.org, j.attempt, j.name, j.spec, j.host_job, j.request_id, ${WAKE}, j.status = 'running' AS running, NULL AS waited_ms, ${volume("w.fence", "w.dirty")}
     FROM j
     LEFT JOIN workspaces w ON w.id = j.workspace AND w.holder_job = j.id
     LEFT JOIN versions v ON v.id = CASE WHEN j.host_job IS NULL THEN coalesce(w.latest, j.base_version) END`,
    [node, bump ? 1 : 0, leaseSeconds, mine.rows.map(({ id }) => id)],
  );
  return rows;
}
