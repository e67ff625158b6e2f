import { can, isFinal, type JobStatus, type JobVerb, type ReportJob, type ScriptEnd } from "@mags/protocol";

/** What the rules need to know of a row. */
export interface JobFacts {
  status: JobStatus;
  attempt: number;
  reason: string | null;
  scriptEnded: boolean;
  leaseUntil: Date | null;
}

export type Decision<Action extends string> = { action: Action; reason: string };

/** Which final status a reason means. */
export function finalStatus(reason: ScriptEnd["reason"]): JobStatus {
  if (reason === "exited") return "completed";
  return reason === "stopped" ? "stopped" : "error";
}

/**
 * What a report does to the row. `fenced` is for the process of an old attempt, or one whose job was already given up:
 * it must kill what it runs. `repeat` changes nothing, because the first word counts.
 */
export function decideReport(
  row: JobFacts,
  report: Pick<ReportJob, "event" | "attempt">,
): Decision<"apply" | "repeat" | "fenced"> {
  if (report.attempt !== row.attempt)
    return { action: "fenced", reason: `attempt ${report.attempt} is over; the current one is ${row.attempt}` };
  if (isFinal(row.status)) {
    if (row.reason === "node_lost")
      return { action: "fenced", reason: "the job was given up because its lease ran out" };
    return { action: "repeat", reason: "the job has ended already" };
  }
  if (report.event === "finished") return { action: "apply", reason: "the script ended" };
  if (report.event === "returned" && row.status !== "starting")
    return { action: "repeat", reason: "what has begun cannot be given back" };
  // Of the same attempt: one that is wanted again has been put to sleep before.
  if (report.event === "slept" && (row.status === "sleeping" || row.status === "accepted"))
    return { action: "repeat", reason: "it is known to sleep" };
  if (report.event === "started" && row.status !== "starting")
    return { action: "repeat", reason: "the script is known to run" };
  if (report.event === "script_ended" && row.scriptEnded)
    return { action: "repeat", reason: "the end of the script is known already" };
  return { action: "apply", reason: report.event };
}

/** A request to stop: a job no node has yet ends at once, one that runs is asked to. */
export function decideStop(row: Pick<JobFacts, "status">): Decision<"end" | "ask" | "refuse"> {
  if (!can("stop", row.status)) return refused("stop", row.status);
  return row.status === "accepted" || row.status === "sleeping"
    ? { action: "end", reason: "no node has it" }
    : { action: "ask", reason: "its node must end it" };
}

/**
 * Whether a machine that its node says to be unused is put away. `idle_minutes` null is the server's default. One whose node
 * is being drained moves on as soon as nobody is in it, also where it may not sleep: it is fetched back elsewhere.
 */
export function decideSleep(
  row: {
    status: JobStatus;
    no_sleep: boolean;
    idle_minutes: number | null;
    idle_ms: number | null;
    sleep: boolean;
    draining: boolean;
  },
  defaultMinutes: number,
): Decision<"sleep" | "stay"> {
  if (row.status !== "running") return { action: "stay", reason: "it is not up yet" };
  if (row.sleep) return { action: "sleep", reason: "somebody asked for it" };
  if (row.draining && row.idle_ms !== null && row.idle_ms > 0)
    return { action: "sleep", reason: "its node is being drained" };
  if (row.no_sleep) return { action: "stay", reason: "it may not sleep" };
  if (row.idle_ms === null) return { action: "stay", reason: "its node does not say how long it was unused" };
  const minutes = row.idle_minutes ?? defaultMinutes;
  if (row.idle_ms < minutes * 60_000) return { action: "stay", reason: "it was used a short while ago" };
  return { action: "sleep", reason: `it was not used for ${minutes} min` };
}

/** A machine that died this soon after it came up is not fetched back by itself, `ms`: it would only die again. */
const SHORT_LIFE_MS = 10_000;

/** Why a machine that has just been put away is fetched back at once; undefined where it may sleep, or somebody asked for it. */
export function decideAsleep(
  row: { no_sleep: boolean; sleep_requested_at: Date | null; activity_since: Date | null },
  now: Date,
): string | undefined {
  if (!row.no_sleep || row.sleep_requested_at !== null) return undefined;
  if (now.getTime() - (row.activity_since?.getTime() ?? 0) < SHORT_LIFE_MS) return undefined;
  return "it may not sleep";
}

/** A request to put a machine away. */
export function decideSleepRequest(row: {
  status: JobStatus;
  persistent: boolean;
}): Decision<"ask" | "asleep" | "refuse"> {
  if (!can("sleep", row.status)) return refused("sleep", row.status);
  if (!row.persistent) return { action: "refuse", reason: "only a persistent job can sleep" };
  return row.status === "sleeping"
    ? { action: "asleep", reason: "it sleeps already" }
    : { action: "ask", reason: "its node must put the machine away" };
}

/** What has to happen before somebody can come into a job's machine. */
export function decideWake(row: {
  status: JobStatus;
  stopping: boolean;
}): Decision<"wake" | "wait" | "ready" | "refuse"> {
  if (!can("wake", row.status)) return refused("wake", row.status);
  if (row.stopping) return { action: "refuse", reason: "the job is being stopped" };
  if (row.status === "sleeping") return { action: "wake", reason: "its machine is put away" };
  if (row.status === "running") return { action: "ready", reason: "its machine is up" };
  return { action: "wait", reason: "its machine is on the way" };
}

export function decideUpdate(
  row: Pick<JobFacts, "status"> & { persistent: boolean },
  wantsNoSleep: boolean,
): Decision<"apply" | "refuse"> {
  if (!can("update", row.status)) return refused("update", row.status);
  if (wantsNoSleep && !row.persistent) return { action: "refuse", reason: "no_sleep needs a persistent job" };
  return { action: "apply", reason: "the job is live" };
}

function refused(verb: JobVerb, status: JobStatus): Decision<"refuse"> {
  return { action: "refuse", reason: `cannot ${verb} a job that is ${status}` };
}

/**
 * A job whose node has not renewed its lease is given up; it is never run a second time without being asked. It was asked for
 * where a machine may never sleep, which starts again with its startup command, and where the job has `retriesLeft`: such a one
 * is run again, unless its script has ended or it is to stop.
 */
export function decideLease(
  row: Pick<JobFacts, "status" | "leaseUntil" | "scriptEnded"> & {
    noSleep: boolean;
    stopping: boolean;
    retriesLeft: number;
  },
  now: Date,
): Decision<"give_up" | "restart" | "retry" | "keep"> {
  if (row.status !== "starting" && row.status !== "running")
    return { action: "keep", reason: "no lease is due in this state" };
  if (row.leaseUntil && row.leaseUntil > now) return { action: "keep", reason: "the lease holds" };
  const reason = "the lease ran out";
  if (row.noSleep && !row.stopping) return { action: "restart", reason };
  const again = row.retriesLeft > 0 && !row.stopping && !row.scriptEnded;
  return { action: again ? "retry" : "give_up", reason };
}

/**
 * When the sweep may judge: leases cannot be renewed while this server is away, so after its start, and after any gap
 * in its ticks, the agents get `graceMs` to renew first. All times `ms`.
 */
export function sweepAllowedFrom(
  previous: { allowedFrom: number; lastTick: number },
  now: number,
  limits: { graceMs: number; gapMs: number },
): number {
  return now - previous.lastTick > limits.gapMs ? now + limits.graceMs : previous.allowedFrom;
}

/** The wall clock of the database, and the one that nobody can set; `ms`. */
export interface Clocks {
  wall: number;
  steady: number;
}

/** True when somebody has set the wall clock, or a database that hung has answered late. */
export function clockStepped(previous: Clocks | undefined, now: Clocks, slackMs: number): boolean {
  if (!previous) return false;
  return Math.abs(now.wall - previous.wall - (now.steady - previous.steady)) > slackMs;
}
