import type { CreateCron, JobStatus } from "@mags/protocol";
import type { Schedule } from "./schedule.ts";

/** A firing that is later than this was missed, `ms` */
export const GRACE_MS = 60_000;
/** Most firings of one moment that are looked at */
const WINDOW = 200;

interface Due {
  /** in the order of their times */
  fire: { at: Date; late: boolean }[];
  /** missed firings that are not made good; the window bounds the count */
  dropped: number;
  nextAt: Date | null;
}

/** What to do for a schedule whose time has come. What is at most a minute late is fired whatever the policy for missed ones. */
export function decideDue(
  schedule: Schedule,
  cron: { nextAt: Date; missed: CreateCron["missed"]; catchUp: number },
  now: Date,
): Due {
  const following = schedule.next(cron.nextAt);
  const behind = following !== null && following <= now;
  // Looking back takes 100 times as long as a look ahead, and many schedules are due at the same second.
  const others = behind ? schedule.lastRuns(WINDOW, now).filter((run) => run > cron.nextAt) : [];
  const due = [cron.nextAt, ...others];
  const late = due.filter((run) => now.getTime() - run.getTime() > GRACE_MS);
  const onTime = due.slice(late.length);
  const kept = keptOf(late, onTime.length > 0, cron);
  return {
    fire: [...kept.map((at) => ({ at, late: true })), ...onTime.map((at) => ({ at, late: false }))],
    dropped: late.length - kept.length,
    nextAt: behind ? schedule.next(now) : following,
  };
}

function keptOf(late: Date[], anyOnTime: boolean, cron: { missed: CreateCron["missed"]; catchUp: number }): Date[] {
  if (cron.missed === "skip") return [];
  if (cron.missed === "catch_up") return late.slice(-cron.catchUp);
  return anyOnTime ? [] : late.slice(-1);
}

/** What a firing does while others of the same schedule run (`started`) or wait (`queued`). */
export function decideOverlap(
  policy: CreateCron["overlap"],
  open: { started: number; queued: number },
  firing: { late: boolean; queuedMax: number },
): { action: "start" | "queue" | "skip"; reason: string } {
  if (policy === "allow") return { action: "start", reason: "runs side by side" };
  if (open.started + open.queued === 0) return { action: "start", reason: "nothing of it runs" };
  // Missed firings that are made good come one after the other.
  if (policy === "skip" && !firing.late) return { action: "skip", reason: "an earlier run was still going on" };
  if (!firing.late && open.queued >= firing.queuedMax)
    return { action: "skip", reason: `${open.queued} earlier runs were still waiting` };
  return { action: "queue", reason: "waits for an earlier run" };
}

interface JobEnd {
  status: JobStatus;
  exitCode: number | null;
  error: string | null;
}

/** How a run ended by its job, undefined for one that is gone; a persistent job's machine may go on. */
export function decideResult(job: JobEnd | undefined): { state: "succeeded" | "failed"; reason: string | null } {
  if (!job) return { state: "failed", reason: "its job is gone" };
  if (job.status === "stopped") return { state: "failed", reason: "its job was stopped" };
  if (job.status === "error") return { state: "failed", reason: job.error ?? "its job could not run" };
  if (job.exitCode !== 0) return { state: "failed", reason: `the script ended with exit code ${job.exitCode}` };
  return { state: "succeeded", reason: null };
}

/** Whether a failed run is tried again. One that somebody stopped is not. */
export function decideRetry(
  run: { state: "succeeded" | "failed"; attempt: number; stopped: boolean },
  cron: { retries: number; enabled: boolean },
): boolean {
  return run.state === "failed" && !run.stopped && cron.enabled && run.attempt < cron.retries;
}
