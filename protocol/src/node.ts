/**
 * What server and agent say to each other. The agent calls the server (`register`, `claim`, `renew`, `report`); the
 * server calls the agent at the address it registered (logs, stop, pool). Both send `Authorization: Bearer <node token>`.
 */
import { z } from "zod";
import { CreateJob, Isolation, RanBy } from "./api/jobs.ts";
import { NodeLabels } from "./cluster.ts";
import { JobVolume } from "./node-volumes.ts";

/** `POST /node/v1/register`. A new `boot_id` means a new agent process: the server answers with the jobs the node still holds. */
export const RegisterNode = z.object({
  node: z.string(),
  boot_id: z.uuid(),
  address: z.string().describe("Base URL of the agent's API"),
  vcpus: z.number(),
  memory_mb: z.number(),
  isolation: z.array(Isolation).describe("Levels this node can give"),
  rootfs_types: z.array(z.string()).describe("Images it can have; what ends in / is the beginning of references"),
  image_digests: z.array(z.string()).default([]).describe("Digests of these images"),
  labels: NodeLabels.default({}),
});
export type RegisterNode = z.infer<typeof RegisterNode>;

/** A job as the agent gets it. `attempt` is the fencing token: every report carries it. */
export const Assignment = z.object({
  id: z.uuid(),
  attempt: z.number().int(),
  name: z.string(),
  org: z.string(),
  spec: CreateJob,
  /** null: a disk of its own that goes with the machine */
  volume: JobVolume.nullable().default(null),
  /** values of its variables that are secrets; never written down */
  secrets: z.record(z.string(), z.string()).default({}),
  /** further values that its log must not show: of secrets that were deleted since; never written down */
  masked: z.array(z.string()).default([]),
  /** X-Request-Id of the request that made it */
  request_id: z.string().nullable().default(null),
  /** its script is known to have been started */
  running: z.boolean().default(false),
  /** runs in the machine of this job instead of one of its own */
  host_job: z.uuid().nullable().default(null),
  /** how long it waited for its workspace, `ms`; null: it did not */
  waited_ms: z.number().nullable().default(null),
  /** the machine is wanted again after it slept: no script runs, only the startup command; `count` grows with each time */
  wake: z
    .object({ count: z.number().int().min(1), because: z.string() })
    .nullable()
    .default(null),
});
export type Assignment = z.infer<typeof Assignment>;

/** Answer of register: jobs that the server believes run on this node; the agent adopts them or reports them lost. */
export const Registered = z.object({ held: z.array(Assignment), lease_seconds: z.number() });

/** `POST /node/v1/claim`: held up to `wait_ms` until there is work that fits what is free. */
export const ClaimJobs = z.object({
  node: z.string(),
  boot_id: z.uuid(),
  free_vcpus: z.number(),
  free_memory_mb: z.number(),
  max: z.number().int(),
  wait_ms: z.number().int().max(30_000),
  /** after a claim whose answer was not heard: all that the node has; what was given to it then is given again */
  has: z.array(z.uuid()).nullable().default(null),
});
export type ClaimJobs = z.infer<typeof ClaimJobs>;
export const Claimed = z.object({ jobs: z.array(Assignment) });

/**
 * `POST /node/v1/renew`, once a second. `lost` lists jobs no longer this node's (kill them, report nothing), `stop` those to
 * stop, `sleep` those whose machine is to be put away.
 */
export const RenewLeases = z.object({
  node: z.string(),
  boot_id: z.uuid(),
  jobs: z.array(
    z.object({
      id: z.uuid(),
      attempt: z.number().int(),
      /** how long a persistent job's machine has not been used, `ms`, and what keeps it awake; null where it cannot sleep */
      idle_ms: z.number().nullable().default(null),
      because: z.string().nullable().default(null),
    }),
  ),
  /** jobs whose machines sleep on this node with their memory, and how often they had been woken when they fell asleep */
  suspended: z.array(z.object({ id: z.uuid(), wakes: z.number().int() })).default([]),
});
export const SleepOrder = z.object({
  id: z.uuid(),
  because: z.string(),
  /** also while somebody is in it */
  forced: z.boolean(),
});
export const LeasesRenewed = z.object({
  lost: z.array(z.uuid()),
  stop: z.array(z.uuid()),
  sleep: z.array(SleepOrder).default([]),
  /** of `suspended`, those that will not wake there any more */
  forget: z.array(z.uuid()).default([]),
  /** ids of machines that were removed from the cluster: their certificates open nothing any more */
  removed: z.array(z.string()).default([]),
});

export const endReasons = [
  "exited",
  "timeout",
  "out_of_memory",
  "stopped",
  "node_lost",
  "start_failed",
  "supervisor_lost",
  "disk_full",
  "image_unavailable",
  "machine_ended",
  "workspace_lost",
] as const;
export type EndReason = (typeof endReasons)[number];

/** How a script ended: one shape whether it succeeded or not. */
export const ScriptEnd = z.object({
  reason: z.enum(endReasons),
  exit_code: z.number().int().nullable(),
  signal: z.string().nullable(),
  /** sentence for people; null when the script ended by itself */
  error: z.string().nullable(),
  script_duration_ms: z.number().nullable(),
  log_truncated: z.boolean(),
});
export type ScriptEnd = z.infer<typeof ScriptEnd>;

/**
 * `POST /node/v1/report`. `started`: the script runs. `script_ended`: it ended and the machine stays (persistent).
 * `slept`: its machine is put away, everything in it is durable. `finished`: the machine is gone too; final. `returned`: the machine of `host_job` went before the script could begin there;
 * the job waits again. Reports with an old attempt answer 409 and change nothing; a repeated
 * report answers as the first did.
 */
export const ReportJob = z.discriminatedUnion("event", [
  z.object({ event: z.literal("started"), id: z.uuid(), attempt: z.number().int(), ran_by: RanBy }),
  z.object({
    event: z.literal("script_ended"),
    id: z.uuid(),
    attempt: z.number().int(),
    end: ScriptEnd,
    ran_by: RanBy.nullable(),
  }),
  z.object({
    event: z.literal("finished"),
    id: z.uuid(),
    attempt: z.number().int(),
    end: ScriptEnd,
    ran_by: RanBy.nullable(),
  }),
  z.object({ event: z.literal("slept"), id: z.uuid(), attempt: z.number().int(), because: z.string() }),
  z.object({ event: z.literal("returned"), id: z.uuid(), attempt: z.number().int(), message: z.string() }),
]);
export type ReportJob = z.infer<typeof ReportJob>;

/** `POST /node/v1/traffic`: what machines have sent to other hosts since they were made; a repeat changes nothing. */
export const ReportTraffic = z.object({
  node: z.string(),
  boot_id: z.uuid(),
  machines: z
    .array(z.object({ job: z.uuid(), machine: z.string().max(200), sent_bytes: z.number().int().min(0) }))
    .max(10_000),
});
export type ReportTraffic = z.infer<typeof ReportTraffic>;

/** Agent: `GET /agent/v1/jobs/:id/logs?after=&limit=` answers `Logs`; with `follow=1` an SSE stream of `entry` and, last, `end` events. */
/** Agent: `POST /agent/v1/jobs/:id/stop` → 202; `POST /agent/v1/jobs/:id/sleep` → 202: at once, forced. `GET /agent/v1/status` → `NodeStatus`. */
/**
 * Agent: `POST /agent/v1/jobs/:id/dial/:port` with `Upgrade: tcp` → 101 and bytes both ways; `POST /agent/v1/jobs/:id/session`
 * with `Upgrade: session` → 101 and the frames of session.ts. `GET /agent/v1/jobs/:id/activity` → `Activity`.
 */
export const Activity = z.object({
  /** connections into the sandbox: dialled, sessions */
  open_connections: z.number().int(),
  last_used_at: z.string(),
  /** CPU time since the machine was made, `ns` */
  cpu_ns: z.number(),
  memory_bytes: z.number(),
  written_bytes: z.number(),
});
