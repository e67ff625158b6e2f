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
  if (row.scriptEnded) return { action: "repeat", reason: "the end of the script is known already" };
  if (report.event === "started" && row.status !== "starting")
    return { action: "repeat", reason: "the script is known to run" };
  return { action: "apply", reason: report.event };
}

/** A request to stop: a job no node has yet ends at once, one that runs is asked to. */
export function decideStop(row: Pick<JobFacts, "status">): Decision<"end" | "ask" | "refuse"> {
  if (!can("stop", row.status)) return refused("stop", row.status);
  return row.status === "accepted"
    ? { action: "end", reason: "no node has it yet" }
    : { action: "ask", reason: "its node must end it" };
}

export function decideUpdate(
  row: Pick<JobFacts, "status"> & { persistent: boolean },
  wantsNoSleep: boolean,
): Decision<"apply" | "refuse"> {
  if (!can("update", row.status)) return refused("update", row.status);
  if (wantsNoSleep && !row.persistent) return { action: "refuse", reason: "no_sleep needs a persistent job" };
  return { action: "apply", reason: "the job is live" };
}

/** Whether somebody may go into the job's machine now. */
export function decideEntry(row: Pick<JobFacts, "status">): Decision<"enter" | "wait" | "refuse"> {
  if (!can("enter", row.status)) return refused("enter", row.status);
  return row.status === "running"
    ? { action: "enter", reason: "its machine runs" }
    : { action: "wait", reason: `it is ${row.status}` };
}

function refused(verb: JobVerb, status: JobStatus): Decision<"refuse"> {
  return { action: "refuse", reason: `cannot ${verb} a job that is ${status}` };
}

/** A job whose node has not renewed its lease is given up; it is never run a second time without being asked. */
export function decideLease(row: Pick<JobFacts, "status" | "leaseUntil">, now: Date): Decision<"give_up" | "keep"> {
  if (row.status !== "starting" && row.status !== "running")
    return { action: "keep", reason: "no lease is due in this state" };
  if (row.leaseUntil && row.leaseUntil > now) return { action: "keep", reason: "the lease holds" };
  return { action: "give_up", reason: "the lease ran out" };
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
