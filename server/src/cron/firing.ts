import type { Logger } from "@mags/kit";
import { ApiError, CreateJob, cronLimits } from "@mags/protocol";
import { acting } from "../db/acting.ts";
import type { Database, Queryable } from "../db/database.ts";
import type { Jobs } from "../jobs/service.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { decideDue, decideOverlap, decideResult, decideRetry } from "./decide.ts";
import { readSchedule } from "./schedule.ts";
import {
  type CronRow,
  countOpen,
  type DueRow,
  type EndedRun,
  endRun,
  failRun,
  insertRuns,
  lockDue,
  lockEnded,
  lockWaiting,
  moveOn,
  type NewRun,
  nextQueued,
  noteLast,
  type OpenRuns,
  startRun,
} from "./store.ts";

/** Schedules that one transaction fires: many are due at the same minute */
const BATCH = 25;
/** Transactions side by side */
const LANES = 2;
const END_BATCH = 50;

type After = (() => void)[];
type Outcome = Pick<NewRun, "state" | "reason" | "job">;

/**
 * Starts what is due. Every step locks rows of schedules, reads again, decides, and writes jobs, runs and the next times
 * in one transaction; rows that another server has are left to it. So any number of servers share the work, and one
 * that dies in the middle has done nothing.
 */
export class Firing {
  readonly #db: Database;
  readonly #jobs: Jobs;
  readonly #metrics: Metrics;
  readonly #logger: Logger;

  constructor(db: Database, jobs: Jobs, metrics: Metrics, logger: Logger) {
    this.#db = db;
    this.#jobs = jobs;
    this.#metrics = metrics;
    this.#logger = logger;
  }

  /** Fires all schedules whose time has come. */
  async fireDue(signal: AbortSignal): Promise<void> {
    const lane = async () => {
      while (!signal.aborted && (await this.#step((tx, after) => this.#fireSome(tx, after))));
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }

  /** Notes how runs ended, and starts those that waited for it or for their next try. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (await this.#step((tx) => this.#endSome(tx))));
    while (!signal.aborted && (await this.#step((tx, after) => this.#startWaiting(tx, after))));
  }

  /** Starts a run that somebody asks for, whatever else of the schedule runs. Throws ApiError when the job is refused. */
  async runNow(tx: Queryable, cron: CronRow, after: After): Promise<{ job: string; name: string }> {
    const job = await this.#createJob(tx, cron, after);
    const outcome = { state: "started", reason: null, job } as const;
    await insertRuns(tx, [{ ...of(cron), kind: "manual", scheduledAt: new Date(), ...outcome }]);
    await noteLast(tx, [{ cron: cron.id, ...outcome }]);
    return { job, name: cron.name };
  }

  /** One transaction; `after` runs when it is committed. */
  async #step(work: (tx: Queryable, after: After) => Promise<boolean>): Promise<boolean> {
    const after: After = [];
    const more = await this.#db.transaction((tx) => work(tx, after));
    for (const action of after) action();
    return more;
  }

  async #fireSome(tx: Queryable, after: After): Promise<boolean> {
    const due = await lockDue(tx, BATCH);
    if (due.length === 0) return false;
    const ids = due.map(({ id }) => id);
    // After the rows are locked, so that it sees what was committed while they were another server's.
    const open = await countOpen(tx, ids);
    const runs: NewRun[] = [];
    const next = new Map<string, Date | null>();
    for (const cron of due) {
      const { fired, nextAt } = await this.#fire(tx, cron, open.get(cron.id) ?? { started: 0, queued: 0 }, after);
      runs.push(...fired);
      next.set(cron.id, nextAt);
    }
    await insertRuns(tx, runs);
    await noteLast(tx, lastOf(runs));
    await moveOn(tx, next);
    return due.length === BATCH;
  }

  /** Starts the jobs of one schedule; answers the runs to write. */
  async #fire(tx: Queryable, cron: DueRow, open: OpenRuns, after: After) {
    const schedule = readSchedule(cron.expression, cron.time_zone);
    const facts = { nextAt: cron.next_at, missed: cron.missed, catchUp: cron.catch_up };
    const { fire, dropped, nextAt } = decideDue(schedule, facts, cron.now);
    const base = { ...of(cron), kind: "schedule" } as const;
    const fired: NewRun[] = [];
    // The first missed time stands for all of them, unless it is itself made good.
    if (dropped > 0 && fire[0]?.at.getTime() !== cron.next_at.getTime())
      fired.push({ ...base, scheduledAt: cron.next_at, state: "skipped", reason: missed(dropped) });
    for (const { at, late } of fire) {
      const { action, reason } = decideOverlap(cron.overlap, open, { late, queuedMax: cronLimits.queuedMax });
      const outcome =
        action === "start"
          ? await this.#start(tx, cron, after)
          : { state: action === "queue" ? ("queued" as const) : ("skipped" as const), reason };
      if (outcome.state === "started") {
        open.started++;
        if (!late) after.push(() => this.#metrics.cronLateness.observe(Math.max(0, Date.now() - at.getTime()) / 1000));
      }
      if (outcome.state === "queued") open.queued++;
      fired.push({ ...base, scheduledAt: at, ...outcome });
    }
    return { fired, nextAt };
  }

  async #startWaiting(tx: Queryable, after: After): Promise<boolean> {
    const cron = await lockWaiting(tx);
    const run = cron && (await nextQueued(tx, cron));
    if (!run) return false;
    const outcome = await this.#start(tx, cron, after);
    if (outcome.job) await startRun(tx, run.id, outcome.job);
    else await failRun(tx, run.id, outcome.reason);
    await noteLast(tx, [{ cron: cron.id, ...outcome }]);
    return true;
  }

  /** Makes the job of a run; one that is refused is a run that failed, with the reason. */
  async #start(tx: Queryable, cron: CronRow, after: After): Promise<Outcome> {
    try {
      return { state: "started", reason: null, job: await this.#createJob(tx, cron, after) };
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#logger.info({ cron: cron.id, err: error.message }, "a schedule's job was refused");
      return { state: "failed", reason: `the job was refused: ${error.message}` };
    }
  }

  async #createJob(tx: Queryable, cron: CronRow, after: After): Promise<string> {
    const parsed = CreateJob.safeParse({ ...cron.request, name: cron.name });
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw new ApiError("invalid_request", `${issue?.path.join(".")} ${issue?.message}`, issue?.path.join("."));
    }
    // What a refused job has written by then goes with it.
    const several = !(await this.#jobs.createsAtOnce(cron.org, parsed.data, tx));
    if (several) await tx.query("SAVEPOINT job");
    const { body, afterCommit } = await this.#asSchedule(cron, () =>
      this.#jobs.create(tx, cron.org, parsed.data),
    ).catch(async (error) => {
      if (several) await tx.query("ROLLBACK TO SAVEPOINT job");
      throw error;
    });
    after.push(afterCommit);
    return body.request_id;
  }

  #asSchedule<T>(cron: CronRow, work: () => T): T {
    const asked = acting.getStore();
    const actor = asked?.actor ?? { kind: "cron" as const, name: cron.name };
    return acting.run(
      { actor, requestId: asked?.requestId ?? null, address: asked?.address ?? null, cron: cron.id },
      work,
    );
  }

  async #endSome(tx: Queryable): Promise<boolean> {
    const ended = await lockEnded(tx, END_BATCH);
    for (const run of ended) await this.#end(tx, run);
    return ended.length === END_BATCH;
  }

  async #end(tx: Queryable, run: EndedRun): Promise<void> {
    const { job_status: status, job_exit_code: exitCode, job_error: error } = run;
    const result = decideResult(status === null ? undefined : { status, exitCode, error });
    const cron = await endRun(tx, run, result);
    const again = { state: result.state, attempt: run.attempt, stopped: status === "stopped" };
    if (!decideRetry(again, cron)) return;
    const notBefore = new Date(Date.now() + cron.retry_delay * 1000);
    const attempt = run.attempt + 1;
    const reason = `try ${attempt + 1} after a failure`;
    const next = { kind: "retry", state: "queued", scheduledAt: run.scheduled_at, notBefore, attempt, reason } as const;
    await insertRuns(tx, [{ ...of(cron), ...next }]);
  }
}

/** The last run of each schedule that is worth a note: one that waits says nothing yet. */
function lastOf(runs: NewRun[]): NewRun[] {
  const last = runs.filter(({ state }) => state !== "queued").map((run) => [run.cron, run] as const);
  return [...new Map(last).values()];
}

const missed = (count: number) => `${count} firing${count === 1 ? " was" : "s were"} missed while no server was there`;

const of = (cron: CronRow) => ({ org: cron.org, cron: cron.id });
