import { ApiError } from "@mags/protocol";
import type { Database } from "../db/database.ts";
import type { Events } from "../db/events.ts";
import type { Nodes } from "../nodes/service.ts";
import type { Quotas } from "../quotas/service.ts";
import { decideSleepRequest, decideWake } from "./decide.ts";
import type { Jobs } from "./service.ts";
import { markWaking, requestSleep } from "./sleep-store.ts";
import { findJob, type JobRow } from "./store.ts";

/** How long somebody who wants to come in is held while a machine wakes, `ms`. */
export const WAKE_BUDGET_MS = 30_000;
/** How long a request to sleep is held until the machine is put away, `ms`. */
const SLEEP_BUDGET_MS = 25_000;
/** Events wake waiters at once; this is for the ones that got lost, `ms`. */
const POLL_MS = 500;

/** Putting machines away and fetching them back: the one way for every door. */
export class Sleep {
  readonly #db: Database;
  readonly #events: Events;
  readonly #nodes: Nodes;
  readonly #jobs: Jobs;
  readonly #quotas: Quotas;

  constructor(db: Database, events: Events, nodes: Nodes, jobs: Jobs, quotas: Quotas) {
    this.#db = db;
    this.#events = events;
    this.#nodes = nodes;
    this.#jobs = jobs;
    this.#quotas = quotas;
  }

  /**
   * Puts a job's machine away once everything in it is durable; answers how the job is then, or after 25 s. Throws ApiError
   * not_found, conflict.
   */
  async sleep(org: string, idOrName: string, signal: AbortSignal): Promise<JobRow> {
    const found = await this.#jobs.find(org, idOrName);
    const row = await this.#db.transaction(async (tx) => {
      const locked = (await findJob(tx, org, found.id, { lock: true })) ?? found;
      const { action, reason } = decideSleepRequest(locked);
      if (action === "refuse") throw new ApiError("conflict", `${reason}: job ${locked.id}`);
      if (action === "ask") await requestSleep(tx, locked.id);
      return locked;
    });
    if (row.status === "sleeping") return row;
    if (row.node) this.#nodes.pushSleep(row.node, row.id);
    return this.#until(row, (now) => now.status !== "running", SLEEP_BUDGET_MS, signal);
  }

  /**
   * Answers when the job's machine is up; `because` is who wants it, as it is shown and logged. Throws ApiError not_found,
   * conflict for a job that has ended, quota_exceeded, wake_timeout when it takes longer than 30 s.
   */
  async wake(org: string, idOrName: string, because: string, signal: AbortSignal): Promise<JobRow> {
    const found = await this.#jobs.find(org, idOrName);
    // Nearly always it is up, and then nothing need be watched.
    if (await this.#isUp(found, because)) return found;
    const row = await this.#until(found, (now) => this.#isUp(now, because), WAKE_BUDGET_MS, signal);
    if (row.status === "running" || signal.aborted) return row;
    const seconds = WAKE_BUDGET_MS / 1000;
    throw new ApiError(
      "wake_timeout",
      `the machine of job ${row.id} did not come up within ${seconds} s: it is ${row.status}`,
    );
  }

  /** Has a sleeping machine fetched back, without waiting for it. Throws ApiError quota_exceeded. */
  async fetchBack(row: JobRow, because: string): Promise<void> {
    if (row.status !== "sleeping") return;
    await this.#db.transaction(async (tx) => {
      await this.#quotas.admitMachine(tx, row.org, row);
      await markWaking(tx, this.#events.payload("work"), row.id, because);
    });
    this.#events.emit("work");
  }

  async #isUp(row: JobRow, because: string): Promise<boolean> {
    const { action, reason } = decideWake({ status: row.status, stopping: row.stop_requested_at !== null });
    if (action === "refuse") throw new ApiError("conflict", `${reason}: job ${row.id}`);
    await this.fetchBack(row, because);
    return action === "ready";
  }

  async #until(
    { org, id }: JobRow,
    reached: (row: JobRow) => boolean | Promise<boolean>,
    ms: number,
    signal: AbortSignal,
  ): Promise<JobRow> {
    const deadline = performance.now() + ms;
    using changes = this.#events.subscribe(`job:${id}`);
    for (;;) {
      const row = await this.#jobs.find(org, id);
      const left = deadline - performance.now();
      if ((await reached(row)) || left <= 0 || signal.aborted) return row;
      await changes.next(Math.min(left, POLL_MS), signal);
    }
  }
}
