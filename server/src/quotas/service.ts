import { ApiError, type OrganisationQuota, type QuotaLimits } from "@mags/protocol";
import type { Database, Queryable } from "../db/database.ts";
import type { Events } from "../db/events.ts";
import type { Quota } from "../workspaces/service.ts";
import { refuseMachine } from "./decide.ts";
import { jobsOfLastMinute, readLimits, readSums, takeJob, writeLimits } from "./store.ts";

const TOPIC = "quotas";
/** How long limits are believed where nobody says that they have changed, `ms` */
const BELIEVED_MS = 5000;

/** What holds where an organisation's row says nothing; null is no limit. */
export type QuotaDefaults = Pick<QuotaLimits, "sandboxes" | "vcpus" | "memory_mb" | "jobs_per_minute">;

/** Keeps organisations within what they may have running. */
export class Quotas {
  readonly #db: Database;
  readonly #events: Events;
  readonly #stored: Quota;
  readonly #defaults: QuotaDefaults;
  readonly #known = new Map<string, { limits: QuotaLimits; until: number }>();

  constructor(db: Database, events: Events, stored: Quota, defaults: QuotaDefaults) {
    this.#db = db;
    this.#events = events;
    this.#stored = stored;
    this.#defaults = defaults;
    events.on(TOPIC, () => this.#known.clear());
  }

  /** True where nothing has to be counted: then a job needs no transaction. `tx`: of who is in one already. */
  async isFree(org: string, tx: Queryable = this.#db): Promise<boolean> {
    const { sandboxes, vcpus, memory_mb, jobs_per_minute } = await this.#limits(tx, org);
    return [sandboxes, vcpus, memory_mb, jobs_per_minute].every((limit) => limit === null);
  }

  /**
   * Counts a job that is made in the same transaction; whoever makes another one waits until that has ended. Throws ApiError
   * quota_exceeded, rate_limited.
   */
  async admitJob(tx: Queryable, org: string, job: { vcpus: number; memory_mb: number }): Promise<void> {
    if (await this.isFree(org, tx)) return;
    const { jobs_per_minute } = await this.#limits(tx, org);
    await this.admitMachine(tx, org, job);
    if (jobs_per_minute === null) return;
    const wait = await takeJob(tx, org, jobs_per_minute);
    if (wait === 0) return;
    const message = `the organisation may start ${jobs_per_minute} jobs a minute: wait ${wait} s`;
    throw new ApiError("rate_limited", message, undefined, { retryAfter: wait });
  }

  /** Counts a machine that comes up by what the same transaction does. Throws ApiError quota_exceeded. */
  async admitMachine(tx: Queryable, org: string, machine: { vcpus: number; memory_mb: number }): Promise<void> {
    const limits = await this.#limits(tx, org);
    if (limits.sandboxes === null && limits.vcpus === null && limits.memory_mb === null) return;
    await this.#stored.lock(tx, org);
    const refusal = refuseMachine(limits, await readSums(tx, org), machine);
    if (refusal) throw new ApiError("quota_exceeded", refusal.message, refusal.field);
  }

  /** Throws ApiError not_found. */
  async show(org: string): Promise<OrganisationQuota> {
    const limits = await this.#read(this.#db, org);
    const [sums, jobs_per_minute, stored] = await Promise.all([
      readSums(this.#db, org),
      jobsOfLastMinute(this.#db, org),
      this.#stored.used(this.#db, org),
    ]);
    return { organisation: org, limits, used: { ...sums, jobs_per_minute, ...stored } };
  }

  /** What is up already stays up. Throws ApiError not_found. */
  async update(org: string, change: Partial<QuotaLimits>): Promise<OrganisationQuota> {
    await this.#db.transaction(async (tx) => {
      await this.#read(tx, org);
      await writeLimits(tx, this.#events.payload(TOPIC), org, change);
    });
    this.#events.emit(TOPIC);
    return this.show(org);
  }

  async #limits(q: Queryable, org: string): Promise<QuotaLimits> {
    const known = this.#known.get(org);
    if (known && known.until > Date.now()) return known.limits;
    const limits = await this.#read(q, org);
    this.#known.set(org, { limits, until: Date.now() + BELIEVED_MS });
    return limits;
  }

  async #read(q: Queryable, org: string): Promise<QuotaLimits> {
    const row = await readLimits(q, org);
    if (!row) throw new ApiError("not_found", `there is no organisation ${JSON.stringify(org.slice(0, 63))}`);
    const defaults: QuotaLimits = { ...this.#defaults, ...this.#stored.defaults };
    const names = Object.keys(row) as (keyof QuotaLimits)[];
    return Object.fromEntries(names.map((name) => [name, row[name] ?? defaults[name]])) as QuotaLimits;
  }
}
