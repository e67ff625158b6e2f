import { stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@mags/kit";
import type { Assignment } from "@mags/protocol";
import { bringLog, keepLog, type ObjectStore } from "@mags/storage";
import type { JobRecords } from "../jobs/record.ts";

/** How often logs that grow are copied, `ms`: so much of a log is lost at most with its node. */
const ROUND_MS = 5000;
/** How often it is looked for logs whose copying failed, and for those that need not stay, `ms` */
const SWEEP_MS = 600_000;
/** How long a log stays here as well, once it is kept elsewhere: of a job that has ended, and of one that sleeps, `ms` */
const STAY_MS = { reported: 3600_000, sleeping: 7 * 86_400_000 };

/** What it must know of a job. */
interface Job {
  id: string;
  assignment: Assignment;
}

/**
 * Copies logs of jobs to the object store, so that they outlive this node: while they grow, when the machine is put away, and
 * at the end. Brings the log of a job back that was on another node before. Neither holds up a job by failing.
 */
export class LogKeeper {
  readonly #options: { objects: ObjectStore; records: JobRecords; logger: Logger };
  readonly #closing = new AbortController();
  /** the last copying of a log; the next one of the same log waits for it */
  readonly #copying = new Map<string, Promise<boolean>>();
  #loops: Promise<unknown> = Promise.resolve();

  constructor(options: { objects: ObjectStore; records: JobRecords; logger: Logger }) {
    this.#options = options;
  }

  /** `live`: the jobs that are here now. */
  start(live: () => Iterable<Job>): void {
    const each = async () => {
      for (const job of [...live()]) await this.keep(job.assignment);
    };
    this.#loops = Promise.all([this.#repeat(ROUND_MS, each), this.#repeat(SWEEP_MS, () => this.#sweep(live))]);
  }

  /** Ends when what is being copied is. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#loops;
    await Promise.all(this.#copying.values());
  }

  /** Copies what is new; true when all of the log is kept, its end included. Never throws. */
  keep({ id, org, attempt }: Assignment): Promise<boolean> {
    const { objects, records, logger } = this.#options;
    const before = this.#copying.get(id) ?? Promise.resolve(true);
    const copying = before
      .then(() => keepLog({ objects, org, job: id }, records.directory(id), attempt))
      .catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT")
          logger.warn({ err: error.message, job: id }, "a log was not copied; it is tried again");
        return false;
      })
      .finally(() => this.#copying.get(id) === copying && this.#copying.delete(id));
    this.#copying.set(id, copying);
    return copying;
  }

  /** Gets the log of a job that was on another node since it was here. Never throws. */
  async bring({ id, org, attempt }: Assignment): Promise<void> {
    if (attempt === 1) return;
    const { objects, records, logger } = this.#options;
    if ((await records.read(id))?.assignment.attempt === attempt - 1) return;
    try {
      await bringLog({ objects, org, job: id }, records.directory(id), { open: true });
    } catch (error) {
      logger.warn({ err: (error as Error).message, job: id }, "the log of before was not brought; a new one begins");
    }
  }

  async #sweep(live: () => Iterable<Job>): Promise<void> {
    const { records } = this.#options;
    const here = new Set([...live()].map(({ id }) => id));
    for (const id of await records.ids()) {
      if (this.#closing.signal.aborted) return;
      const record = here.has(id) ? undefined : await records.read(id);
      if (record?.phase !== "reported" && record?.phase !== "sleeping") continue;
      const whole = await this.keep(record.assignment);
      if (!whole && record.phase === "reported") continue;
      const { mtimeMs } = await stat(records.directory(id));
      if (Date.now() - mtimeMs > STAY_MS[record.phase]) await records.remove(id);
    }
  }

  async #repeat(ms: number, work: () => Promise<void>): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await work().catch((err) => this.#options.logger.warn({ err: err.message }, "looking after logs failed"));
      await delay(ms, undefined, { signal }).catch(() => undefined);
    }
  }
}
