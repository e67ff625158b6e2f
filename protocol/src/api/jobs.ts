import { z } from "zod";
import { NodeLabels } from "../cluster.ts";
import { jobStatuses } from "../states.ts";
import { fileLimits } from "./files.ts";
import { ImageName } from "./images.ts";
import { NetworkPolicy } from "./network.ts";
import { SecretReference, secretLimits } from "./secrets.ts";
import { BaseWorkspace, WorkspaceName } from "./workspace-names.ts";

/** Limits of a job request; stated once, used by the schemas and printed in the documentation. */
export const jobLimits = {
  /** UTF-8 size of a script, `bytes` */
  scriptBytes: 1024 * 1024,
  /** size of a whole request body, `bytes` */
  bodyBytes: 4 * 1024 * 1024,
  /** default and longest script time, `seconds` */
  timeoutDefault: 300,
  timeoutMax: 24 * 3600,
  memoryMbDefault: 512,
  memoryMbMin: 32,
  memoryMbMax: 256 * 1024,
  vcpusDefault: 1,
  vcpusMax: 64,
  diskGbDefault: 2,
  diskGbMax: 1024,
  environmentEntries: 256,
  nodeRetriesMax: 10,
} as const;

const utf8 = new TextEncoder();

const VariableName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "is no valid variable name: use letters, digits and _, not starting with a digit");

export const Environment = z
  .record(
    VariableName,
    z
      .string()
      .max(128 * 1024)
      .refine((v) => !v.includes("\0"), "must not contain a NUL character"),
  )
  .refine(
    (e) => Object.keys(e).length <= jobLimits.environmentEntries,
    `has more than ${jobLimits.environmentEntries} variables`,
  )
  .describe("Environment variables of the script");

export const Isolation = z
  .enum(["container", "vm"])
  .describe("The weakest isolation the job accepts; refused where it cannot be had");

export const Runtime = z
  .enum(["qemu", "container"])
  .describe("What the machine is made by: a virtual machine or a container; refused where it cannot be had");

const IdleMinutes = z
  .number()
  .min(0)
  .max(7 * 24 * 60)
  .describe("Minutes without use after which a persistent machine sleeps");

/** Body of `POST /mags-jobs`. */
export const CreateJob = z
  .object({
    script: z
      .string()
      .min(1, "must not be empty")
      .refine(
        (s) => utf8.encode(s).length <= jobLimits.scriptBytes,
        "is larger than 1 MiB: upload the data as a file, or fetch it in the script",
      )
      .refine((s) => !s.includes("\0"), "must not contain a NUL character")
      .describe("Shell script; run by /bin/sh as root in /root"),
    type: z.enum(["inline"]).default("inline").describe("How the script is given"),
    name: z.string().min(1).max(128).optional().describe("Label; generated if absent"),
    persistent: z.boolean().default(false).describe("Keep the machine after the script has ended"),
    ephemeral: z.boolean().default(false).describe("Keep nothing; fastest"),
    workspace_id: WorkspaceName.optional().describe("Keeps the files under this name; made where there is none yet"),
    base_workspace_id: BaseWorkspace.optional().describe(
      "Starts from this workspace, or from one version of it (name@version). Without workspace_id the changes are discarded",
    ),
    on_busy: z
      .enum(["wait", "fail"])
      .default("wait")
      .describe("What to do while another job has the workspace: wait for it, or fail with 409"),
    no_sleep: z.boolean().default(false).describe("Never sleep when idle (needs persistent)"),
    idle_minutes: IdleMinutes.optional(),
    sleep: z
      .enum(["stop", "suspend"])
      .default("stop")
      .describe(
        "What sleep does with the processes: end them, or keep them, memory and all, for the wake (needs persistent and a virtual machine)",
      ),
    startup_command: z
      .string()
      .max(64 * 1024)
      .optional()
      .describe("Run when a sleeping machine wakes"),
    environment: Environment.default({}),
    secrets: z
      .record(VariableName, SecretReference)
      .refine((s) => Object.keys(s).length <= secretLimits.perJob, `names more than ${secretLimits.perJob}`)
      .default({})
      .describe("Variables that hold secrets, by name or name@version; masked in the log. They win over environment"),
    file_ids: z
      .array(z.uuid().toLowerCase())
      .max(fileLimits.perJob)
      .default([])
      .describe("Uploaded files, placed in /root under their names before the script starts"),
    timeout: z
      .number()
      .int()
      .min(1)
      .max(jobLimits.timeoutMax)
      .optional()
      .describe(
        `Time the script may run, in seconds; if absent ${jobLimits.timeoutDefault}, and without limit where the job is persistent`,
      ),
    vcpus: z.number().min(0.1).max(jobLimits.vcpusMax).default(jobLimits.vcpusDefault).describe("CPU limit"),
    memory_mb: z
      .number()
      .int()
      .min(jobLimits.memoryMbMin)
      .max(jobLimits.memoryMbMax)
      .default(jobLimits.memoryMbDefault)
      .describe("Memory limit, in MiB"),
    disk_gb: z
      .number()
      .min(0.1)
      .max(jobLimits.diskGbMax)
      .default(jobLimits.diskGbDefault)
      .describe("Size of the machine's writable disk, in GiB"),
    rootfs_type: ImageName.optional(),
    entrypoint: z
      .boolean()
      .default(true)
      .describe("Run the script by the image's entrypoint, where it has one; false: by /bin/sh alone"),
    isolation: Isolation.optional(),
    runtime: Runtime.optional(),
    node_labels: NodeLabels.optional().describe("Run only on a node that has all of these labels"),
    node_retries: z
      .number()
      .int()
      .min(0)
      .max(jobLimits.nodeRetriesMax)
      .default(0)
      .describe(
        "How often the job is started again, its script from the beginning, after its node was lost; else it ends with reason node_lost",
      ),
    image_digest: z
      .string()
      .regex(/^(sha256:)?[0-9a-f]{64}$/, "must be a sha256 digest")
      .optional()
      .describe("Run on exactly this image, as ran_by of an earlier job names it; refused where no node has it"),
    network: NetworkPolicy.default("default").describe(
      "What the machine may reach: the internet, nothing, or only names and addresses of a list",
    ),
  })
  .refine((j) => !j.no_sleep || j.persistent, { path: ["no_sleep"], message: "needs persistent: true" })
  .refine((j) => j.node_retries === 0 || !j.persistent, {
    path: ["node_retries"],
    message: "cannot be combined with persistent: true, whose machine comes up again with no_sleep",
  })
  .refine((j) => j.sleep === "stop" || j.persistent, { path: ["sleep"], message: "suspend needs persistent: true" })
  .refine((j) => j.sleep === "stop" || j.runtime !== "container", {
    path: ["sleep"],
    message: 'suspend needs a virtual machine: leave runtime: "container" out',
  })
  .refine((j) => !(j.ephemeral && j.persistent), {
    path: ["ephemeral"],
    message: "cannot be combined with persistent: true",
  })
  .refine((j) => !(j.ephemeral && j.workspace_id !== undefined), {
    path: ["ephemeral"],
    message: "cannot be combined with workspace_id: leave one of them out",
  })
  .refine((j) => !(j.isolation === "vm" && j.runtime === "container"), {
    path: ["runtime"],
    message: 'cannot be container with isolation: "vm"',
  });
export type CreateJob = z.infer<typeof CreateJob>;

/** The isolation that a node must be able to give for the job. */
export const levelOf = (job: Pick<CreateJob, "isolation" | "runtime" | "sleep">) =>
  job.runtime === "qemu" || job.sleep === "suspend" ? ("vm" as const) : job.isolation;

/** Time a script may run, `seconds`; null for ever: the script of a persistent job is often a server. */
export const scriptSeconds = (job: Pick<CreateJob, "persistent" | "timeout">): number | null =>
  job.timeout ?? (job.persistent ? null : jobLimits.timeoutDefault);

/** Answer of `POST /mags-jobs`, status 202. */
export const JobAccepted = z.object({
  request_id: z.uuid(),
  name: z.string(),
  status: z.enum(jobStatuses),
  message: z.string(),
});

/** What really ran a job; null until a node has started it. */
export const RanBy = z.object({
  node: z.string().describe("Node name"),
  driver: z.string().describe("container or qemu"),
  driver_version: z.string().describe("For example crun 1.8.1"),
  isolation: z.object({
    level: Isolation,
    user_namespace: z.boolean(),
    seccomp: z.boolean(),
    kvm: z.boolean(),
    emulated: z.boolean(),
  }),
  image: z.string(),
  image_digest: z.string().describe("sha256 of the image"),
  limits: z.object({
    vcpus: z.number(),
    memory_mb: z.number(),
    disk_gb: z.number(),
    pids: z.number(),
    timeout: z.number().nullable(),
  }),
  machine: z.string().describe("Id of the sandbox; equals vm_id"),
});
export type RanBy = z.infer<typeof RanBy>;

/** Why a persistent job's machine is up or not, for people. */
export const JobActivity = z.object({
  state: z.enum(["awake", "asleep", "waking"]),
  because: z.string().describe("For example: 2 connections are open"),
  since: z.string().describe("When it came into this state"),
  wakes: z.number().int().describe("How often it was woken"),
});

/** A start of a job that can be started again, and what became of it. */
export const LostAttempt = z.object({
  attempt: z.number().int(),
  node: z.string(),
  started_at: z.string().nullable().describe("When its script began; null: it had not, as far as is known"),
  lost_at: z.string(),
  error: z.string(),
});
export type LostAttempt = z.infer<typeof LostAttempt>;

/** One job as `GET …/status` and the list show it. Times are ISO 8601, durations milliseconds. */
export const Job = z.object({
  request_id: z.uuid(),
  name: z.string(),
  status: z.enum(jobStatuses),
  vm_id: z.string().nullable(),
  subdomain: z.string().nullable(),
  url: z.string().nullable(),
  exit_code: z.number().int().nullable().describe("Exit code of the script; 128+n when signal n ended it"),
  signal: z.string().nullable(),
  error: z.string().nullable().describe("Why the status is error"),
  reason: z
    .string()
    .nullable()
    .describe(
      "Machine-readable reason of a final status: exited, timeout, out_of_memory, stopped, node_lost, start_failed, …",
    ),
  workspace_id: z.string().nullable().describe("Workspace that keeps its files"),
  base_workspace_id: z.string().nullable().describe("Workspace it started from, as the request named it"),
  started_from: z
    .string()
    .nullable()
    .describe("Version that its disk began as, as name@version; null: it began empty, or has not begun"),
  rerun_of: z.uuid().nullable().describe("Job that it repeats"),
  host_job: z.uuid().nullable().describe("Job whose machine it shares, because that one has the workspace"),
  waiting_for: z.string().nullable().describe("What keeps an accepted job from starting, where that is its workspace"),
  persistent: z.boolean(),
  no_sleep: z.boolean(),
  idle_minutes: z.number().nullable().describe("Minutes without use after which it sleeps; null: the server's default"),
  activity: JobActivity.nullable().describe(
    "Why its machine is up or not; null where it is not persistent or has not begun",
  ),
  startup_command: z.string().nullable(),
  timeout: z.number().nullable().describe("Time the script may run, in seconds; null for ever"),
  network: NetworkPolicy.describe(
    "What its machine may reach; of a job in the machine of another it is what that one may",
  ),
  attempt: z.number().int(),
  node_retries: z.number().int().describe("How often it is started again after its node was lost"),
  lost_attempts: z.array(LostAttempt).describe("Starts that were lost with their node, the first one first"),
  created_at: z.string(),
  started_at: z.string().nullable(),
  completed_at: z.string().nullable(),
  script_duration_ms: z.number().nullable(),
  duration_ms: z.number().nullable().describe("From acceptance to the final status"),
  log_truncated: z.boolean(),
  ran_by: RanBy.nullable(),
  secrets: z.record(z.string(), z.string()).describe("Versions of secrets that its variables hold, as name@version"),
  created_by: z
    .string()
    .nullable()
    .describe("Who started it, such as token ci, member ann@example.org or cron nightly"),
  cron_id: z.uuid().nullable().describe("Schedule that started it"),
  http_request_id: z
    .string()
    .nullable()
    .describe("X-Request-Id of the request that made it; it is in the logs of server and agent"),
});
export type Job = z.infer<typeof Job>;

export const JobStatusQuery = z.object({
  wait: z.coerce
    .number()
    .min(0)
    .max(60)
    .optional()
    .describe("Hold the answer until the script has ended, at most this many seconds"),
});

export const ListJobsQuery = z.object({
  page: z.coerce.number().int().min(1).default(1),
  page_size: z.coerce.number().int().min(1).max(200).default(20),
  status: z.enum(jobStatuses).optional(),
  name: z.string().max(128).optional(),
  workspace_id: z.string().max(128).optional(),
});

export const JobList = z.object({
  jobs: z.array(Job),
  total: z.number().int(),
  page: z.number().int(),
  page_size: z.number().int(),
});

/** Body of `PATCH /mags-jobs/:id`. */
export const UpdateJob = z
  .strictObject({
    startup_command: z
      .string()
      .max(64 * 1024)
      .nullable()
      .optional(),
    no_sleep: z.boolean().optional(),
    idle_minutes: IdleMinutes.nullable().optional(),
  })
  .refine((u) => Object.keys(u).length > 0, "names nothing to change: send startup_command, no_sleep or idle_minutes");
export type UpdateJob = z.infer<typeof UpdateJob>;

export const PoolStatus = z.object({
  idle_vms: z.number().int(),
  busy_vms: z.number().int(),
  total_vms: z.number().int(),
  min_pool_size: z.number().int(),
  max_pool_size: z.number().int(),
});
