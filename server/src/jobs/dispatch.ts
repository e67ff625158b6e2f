import type { Logger } from "@mags/kit";
import {
  ApiError,
  type Assignment,
  type ClaimJobs,
  type LeasesRenewed,
  type RegisterNode,
  type RenewLeases,
  type ReportJob,
} from "@mags/protocol";
import type { z } from "zod";
import type { Cluster } from "../cluster/service.ts";
import type { Database, Queryable } from "../db/database.ts";
import type { Events } from "../db/events.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Nodes } from "../nodes/service.ts";
import type { Secrets } from "../secrets/service.ts";
import type { Leases } from "../workspaces/service.ts";
import { type Claimed, claimJobs, heldJobs, releaseJob } from "./claim.ts";
import { databaseClock, endInTime } from "./clock-store.ts";
import {
  type Clocks,
  clockStepped,
  decideAsleep,
  decideLease,
  decideReport,
  decideSleep,
  finalStatus,
  sweepAllowedFrom,
} from "./decide.ts";
import { withSecrets } from "./handing-out.ts";
import { giveUp, overdueJobs, retryLost } from "./lost-store.ts";
import { markAsleep, markWaking, restart, waitingFor } from "./sleep-store.ts";
import {
  endWaiting,
  type JobRow,
  lockJobForNode,
  markEnded,
  markStarted,
  renewLeases,
  suspendedInVain,
} from "./store.ts";

/** How long a job is a node's without renewal, `s`. */
export const LEASE_SECONDS = 8;
/** How long agents may take to renew after this server was away, `ms`. */
const GRACE_MS = 10_000;
const SWEEP_MS = 500;
/** A node that has not started by then never will, `ms`. */
const LONGEST_START_MS = 300_000;
/** A longer pause between two sweeps means that this server, or its database, was away, `ms`. */
const GAP_MS = 3000;
/** lock_not_available, which PostgreSQL says when lock_timeout is over */
const LOCK_TIMEOUT = "55P03";
/** The database's clock and our own may differ so much within a sweep, `ms`. */
const STEP_MS = 2000;
/** Claims look for work this often even when nobody says that there is some, `ms`. */
const POLL_MS = 1000;

/** The side of the jobs that the nodes see: the queue, its leases and reports, and the sweep over both. */
export class Dispatch {
  readonly #db: Database;
  readonly #events: Events;
  readonly #nodes: Nodes;
  readonly #leases: Leases;
  readonly #metrics: Metrics;
  readonly #cluster: Cluster;
  readonly #secrets: Secrets;
  readonly #logger: Logger;
  readonly #idleMinutes: number;
  /** when this server has given or renewed the lease of an attempt, by the clock that nobody can set */
  readonly #heard = new Map<string, number>();
  #sweep: { allowedFrom: number; lastTick: number };
  #clocks: Clocks | undefined;
  #starting = false;
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(
    db: Database,
    events: Events,
    nodes: Nodes,
    leases: Leases,
    cluster: Cluster,
    options: { idleMinutes: number; metrics: Metrics; secrets: Secrets; logger: Logger },
  ) {
    this.#db = db;
    this.#events = events;
    this.#nodes = nodes;
    this.#leases = leases;
    this.#metrics = options.metrics;
    this.#cluster = cluster;
    this.#secrets = options.secrets;
    this.#logger = options.logger;
    this.#idleMinutes = options.idleMinutes;
    this.#sweep = { allowedFrom: performance.now() + GRACE_MS, lastTick: performance.now() };
  }

  /** Registers a node and answers what it still holds; a new process of it fences the old one off. */
  async register(node: RegisterNode): Promise<{ held: Assignment[]; lease_seconds: number }> {
    const held = await this.#db.transaction(async (tx) => {
      const fresh = await this.#nodes.register(tx, node);
      return heldJobs(tx, node.node, fresh, LEASE_SECONDS);
    });
    this.#hear(held);
    return { held: await withSecrets(held, this.#secrets), lease_seconds: LEASE_SECONDS };
  }

  /** Hands out jobs as soon as some fit, or none after `wait_ms`. Throws ApiError conflict when the node must register again. */
  async claim(want: ClaimJobs, signal: AbortSignal): Promise<Assignment[]> {
    const deadline = performance.now() + want.wait_ms;
    using work = this.#events.subscribe("work");
    // A sign of life once: as long as the claim is held, only renewals say that the node still lives.
    const node = await this.#nodes.alive(want.node, want.boot_id);
    const room = {
      node: want.node,
      bootId: want.boot_id,
      vcpus: want.free_vcpus,
      memoryMb: want.free_memory_mb,
      max: want.max,
      vm: node.isolation.includes("vm"),
      rootfsTypes: node.rootfs_types,
      imageDigests: node.image_digests,
      labels: node.labels,
      leaseSeconds: LEASE_SECONDS,
    };
    const { has } = want;
    const held = () => this.#db.transaction((tx) => heldJobs(tx, want.node, true, LEASE_SECONDS, has));
    const unheard = has === null ? [] : await held();
    if (unheard.length > 0)
      return withSecrets(unheard, this.#secrets, (job, problem) => this.#cannotStart(job, problem));
    while (!signal.aborted) {
      const jobs = await claimJobs(this.#db, { ...room, silenceCounts: this.#mayJudge() });
      const left = deadline - performance.now();
      if (jobs.length > 0 || left <= 0) return this.#handOut(jobs);
      await work.next(Math.min(left, POLL_MS), signal);
    }
    return [];
  }

  async #handOut(claimed: Claimed[]): Promise<Assignment[]> {
    this.#hear(claimed);
    const jobs = claimed.map(({ queued_ms, ...job }) => {
      if (queued_ms !== null) this.#metrics.queueWait.observe(queued_ms / 1000);
      return job;
    });
    return withSecrets(jobs, this.#secrets, (job, problem) => this.#cannotStart(job, problem));
  }

  #hear(jobs: { id: string; attempt: number }[]): void {
    for (const job of jobs) this.#heard.set(attemptOf(job), performance.now());
  }

  async #cannotStart({ id, attempt }: Assignment, problem: string): Promise<void> {
    const none = { exit_code: null, signal: null, script_duration_ms: null, log_truncated: false };
    const end = { ...none, reason: "start_failed" as const, error: problem };
    await this.report({ event: "finished", id, attempt, end, ran_by: null });
  }

  /** Takes back what a claim handed to a node that had hung up meanwhile. */
  async release(jobs: Assignment[]): Promise<void> {
    for (const job of jobs)
      await this.#db.transaction(async (tx) => {
        const row = await lockJobForNode(tx, job.id);
        const returned = { event: "returned", attempt: job.attempt } as const;
        if (row && decideReport(facts(row), returned).action === "apply") await this.#putBack(tx, row);
      });
    this.#events.emit("work");
  }

  /** Throws ApiError conflict when the node must register again. */
  async renew(request: z.infer<typeof RenewLeases>): Promise<z.infer<typeof LeasesRenewed>> {
    const node = await this.#nodes.alive(request.node, request.boot_id);
    const removed = await this.#cluster.removed();
    const forget = await suspendedInVain(this.#db, request.node, request.suspended);
    if (request.jobs.length === 0) return { lost: [], stop: [], sleep: [], forget, removed };
    const kept = await renewLeases(this.#db, request.node, request.jobs, LEASE_SECONDS);
    const ids = new Set(kept.map((job) => job.id));
    this.#hear(request.jobs.filter((job) => ids.has(job.id)));
    return {
      lost: request.jobs.map((job) => job.id).filter((id) => !ids.has(id)),
      stop: kept.filter((job) => job.stop).map((job) => job.id),
      sleep: kept.flatMap((job) => {
        const { action, reason } = decideSleep({ ...job, draining: node.draining_since !== null }, this.#idleMinutes);
        return action === "sleep" ? [{ id: job.id, because: reason, forced: job.sleep }] : [];
      }),
      forget,
      removed,
    };
  }

  /**
   * Writes what a node tells of a job; a repeat changes nothing. `by` is the one node that the caller may speak for.
   * Throws ApiError conflict for a process that lost it, not_found.
   */
  async report(report: ReportJob, by?: string): Promise<void> {
    const topic = `job:${report.id}`;
    const row = await this.#db.transaction(async (tx) => {
      const row = await lockJobForNode(tx, report.id);
      if (!row) throw new ApiError("not_found", `there is no job ${report.id}`);
      if (by !== undefined && row.node !== by)
        throw new ApiError("conflict", `job ${report.id} is not node ${by}'s`, "attempt");
      const { action, reason } = decideReport(facts(row), report);
      if (action === "fenced")
        throw new ApiError("conflict", `job ${report.id} is no longer this node's: ${reason}`, "attempt");
      if (action === "repeat") return undefined;
      await this.#apply(tx, row, report);
      return row;
    });
    if (!row) return;
    this.#measure(row, report);
    this.#events.emit(topic);
    if (report.event !== "started" && report.event !== "script_ended") this.#events.emit("work");
  }

  async #apply(tx: Queryable, row: JobRow, report: ReportJob): Promise<void> {
    const payload = this.#events.payload(`job:${report.id}`);
    switch (report.event) {
      case "started":
        await markStarted(tx, payload, report.id, report.ran_by);
        return this.#leases.started(tx, row);
      case "script_ended":
        return markEnded(tx, payload, report.id, "running", false, report.end, report.ran_by);
      case "slept": {
        // Its node was to stop it, and was restarted before it had written that down.
        if (row.stop_requested_at !== null) return this.#endUnrun(tx, row);
        await markAsleep(tx, payload, report.id, report.because);
        const waiting = row.workspace && (await waitingFor(tx, row.workspace));
        const because = waiting ? `job ${waiting} runs in its workspace` : decideAsleep(row, new Date());
        if (because) await markWaking(tx, this.#events.payload("work"), report.id, because);
        return;
      }
      case "returned":
        return this.#putBack(tx, row);
      case "finished":
        await markEnded(tx, payload, report.id, finalStatus(report.end.reason), true, report.end, report.ran_by);
        await this.#leases.letGo(tx, row, true);
    }
  }

  /** A job that has not begun waits again, unless it is to stop. */
  async #putBack(tx: Queryable, row: JobRow): Promise<void> {
    if (row.stop_requested_at !== null) return this.#endUnrun(tx, row);
    await releaseJob(tx, this.#events.payload("work"), row);
  }

  /** A job that is to stop and that no machine has. */
  async #endUnrun(tx: Queryable, row: JobRow): Promise<void> {
    await endWaiting(tx, this.#events.payload(`job:${row.id}`), row.id);
    await this.#leases.letGo(tx, row, true);
  }

  #measure(row: JobRow, report: ReportJob): void {
    const { startLatency, jobsEnded } = this.#metrics;
    // The database's clock wrote the one, this process's says the other.
    if (report.event === "started" && row.started_at === null)
      startLatency.observe(Math.max(0, Date.now() - row.created_at.getTime()) / 1000);
    if (report.event === "finished") jobsEnded.labels(finalStatus(report.end.reason), report.end.reason).inc();
  }

  /** Judges no lease while a node starts that is in the same process: it cannot renew any yet, however long that takes. */
  awaitNode(start: Promise<unknown>): void {
    this.#starting = true;
    const deadline = setTimeout(() => end(), LONGEST_START_MS);
    deadline.unref();
    const end = () => {
      clearTimeout(deadline);
      if (this.#starting) this.#sweep.allowedFrom = performance.now() + GRACE_MS;
      this.#starting = false;
    };
    start.then(end, end);
  }

  startSweeping(): void {
    this.#timer = setInterval(() => {
      this.#sweeping = this.#sweeping.then(() => this.#tick());
    }, SWEEP_MS);
  }

  async stopSweeping(): Promise<void> {
    clearInterval(this.#timer);
    await this.#sweeping;
  }

  async #tick(): Promise<void> {
    const now = performance.now();
    const allowedFrom = sweepAllowedFrom(this.#sweep, now, { graceMs: GRACE_MS, gapMs: GAP_MS });
    this.#sweep = { allowedFrom, lastTick: now };
    try {
      await this.#followClock();
      if (!this.#mayJudge(now)) return;
      const overdue = await overdueJobs(this.#db);
      // A database that has hung meanwhile has heard no renewal either.
      const answered = performance.now();
      if (answered - now > GAP_MS) {
        this.#sweep.allowedFrom = answered + GRACE_MS;
        return;
      }
      // The clock may have been set since it was looked at: the next look will tell.
      const wall = overdue[0]?.now.getTime();
      if (wall !== undefined && clockStepped(this.#clocks, { wall, steady: answered }, STEP_MS)) return;
      for (const [attempt, at] of this.#heard) if (answered - at > LEASE_SECONDS * 1000) this.#heard.delete(attempt);
      // Whose lease is over only by a clock that is being set is not lost.
      for (const row of overdue) if (!this.#heard.has(attemptOf(row))) await this.#judgeUnlocked(row);
    } catch (err) {
      // Without the database nobody could renew either.
      this.#sweep.allowedFrom = performance.now() + GRACE_MS;
      this.#logger.warn({ err: (err as Error).message }, "the sweep of leases failed");
    }
  }

  #mayJudge(now = performance.now()): boolean {
    return !this.#starting && now >= this.#sweep.allowedFrom && now - this.#sweep.lastTick < GAP_MS;
  }

  /** Leases end by the database's clock. When that was set, none is judged before the nodes had time to renew by the new one. */
  async #followClock(): Promise<void> {
    const now = { wall: await databaseClock(this.#db), steady: performance.now() };
    const stepped = clockStepped(this.#clocks, now, STEP_MS);
    this.#clocks = now;
    if (!stepped) return;
    this.#sweep.allowedFrom = now.steady + GRACE_MS;
    await this.#db.transaction((tx) => endInTime(tx, LEASE_SECONDS));
    this.#logger.warn("the database's clock was set; nodes get time to renew their leases");
  }

  async #judgeUnlocked(row: JobRow & { now: Date }): Promise<void> {
    await this.#judge(row).catch((err) => {
      if (err.code !== LOCK_TIMEOUT) throw err;
      this.#logger.warn({ job: row.id, err: err.message }, "the lease of a job that is locked was not judged");
    });
  }

  async #judge(row: JobRow & { now: Date }): Promise<void> {
    const stopping = row.stop_requested_at !== null;
    const retriesLeft = row.node_retries - row.lost_attempts.length;
    const { action } = decideLease({ ...facts(row), noSleep: row.no_sleep, stopping, retriesLeft }, row.now);
    if (action === "keep") return;
    const lost = `Node ${row.node} did not renew its lease for ${LEASE_SECONDS} seconds: it died or lost its connection.`;
    const done = await this.#db.transaction(async (tx) => {
      // Whoever has the row locked and does not go on keeps only this one from being judged.
      await tx.query("SET LOCAL lock_timeout = '2s'");
      if (action === "retry") return retryLost(tx, this.#events.payload("work"), row, lost);
      return action === "restart" && row.started_at !== null
        ? restart(tx, this.#events.payload("work"), row, lost)
        : this.#giveUp(tx, row, lost);
    });
    if (!done) return;
    this.#metrics.leasesLost.labels(action).inc();
    this.#logger.warn({ job: row.id, request: row.request_id, node: row.node, action }, "lease ran out");
    this.#events.emit(`job:${row.id}`);
    this.#events.emit("work");
  }

  async #giveUp(tx: Queryable, row: JobRow, lost: string): Promise<boolean> {
    const starts = row.lost_attempts.length + 1;
    const again = starts > 1 ? `it was started ${starts} times, and is not again` : "it was not run again";
    const error = `${lost} The script may have run in part; ${again}.`;
    if (!(await giveUp(tx, this.#events.payload(`job:${row.id}`), row, error))) return false;
    await this.#leases.letGo(tx, row, true);
    return true;
  }
}

const attemptOf = ({ id, attempt }: { id: string; attempt: number }) => `${id} ${attempt}`;

const facts = (row: JobRow) => ({
  status: row.status,
  attempt: row.attempt,
  reason: row.reason,
  scriptEnded: row.script_ended_at !== null,
  leaseUntil: row.lease_until,
});
