/**
 * The states of a job.
 *
 * `accepted` waits for a node, for the first time or because somebody woke it; `starting` was claimed by one; `running` has its script (or, when persistent, its
 * machine) up; `sleeping` is a persistent job whose machine was put away
 * until somebody needs it. The last three are final: `completed` says
 * the script ended by itself (whatever its exit code), `error` that it could not run or was ended by a limit,
 * `stopped` that someone asked.
 */
export const jobStatuses = ["accepted", "starting", "running", "sleeping", "completed", "error", "stopped"] as const;
export type JobStatus = (typeof jobStatuses)[number];

export const finalStatuses = ["completed", "error", "stopped"] as const satisfies readonly JobStatus[];

/** Which verb is allowed in which state; API guards, CLI messages and tests read this table. */
export const jobVerbs = {
  stop: ["accepted", "starting", "running", "sleeping"],
  update: ["accepted", "starting", "running", "sleeping"],
  access: ["accepted", "starting", "running", "sleeping"],
  sleep: ["running", "sleeping"],
  wake: ["accepted", "starting", "running", "sleeping"],
} as const satisfies Record<string, readonly JobStatus[]>;

export type JobVerb = keyof typeof jobVerbs;

export const isFinal = (status: JobStatus): boolean => (finalStatuses as readonly JobStatus[]).includes(status);

export const can = (verb: JobVerb, status: JobStatus): boolean =>
  (jobVerbs[verb] as readonly JobStatus[]).includes(status);
