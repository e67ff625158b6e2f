import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@mags/kit";
import type { Assignment, ReportJob } from "@mags/protocol";
import { type ControlPlane, Fenced } from "../control-plane.ts";
import type { Driver, Sandbox } from "../sandbox/driver.ts";
import { killWrappers } from "../sandbox/wrapper.ts";
import { Job, type JobContext } from "./job.ts";
import { type JobRecord, type JobRecords, unstarted } from "./record.ts";

/** How often leases are renewed, `ms`. */
const RENEW_MS = 1000;
/** How long the server may hold a claim, `ms`. */
const CLAIM_WAIT_MS = 10_000;
/** Pause after a failed call, `ms`. */
const RETRY_MS = 200;

export interface NodeOptions {
  name: string;
  vcpus: number;
  memoryMb: number;
  address: string;
  imageName: string;
  /** the machine has been restarted since the last agent process, so nothing of before can still run */
  rebooted: boolean;
  controlPlane: ControlPlane;
  driver: Driver;
  records: JobRecords;
  logger: Logger;
}

/** The loops of a node: register, take up what was running, claim work that fits, renew its leases. */
export class JobNode {
  readonly #options: NodeOptions;
  readonly #bootId = randomUUID();
  readonly #jobs = new Map<string, Job>();
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #context: JobContext | undefined;
  #loops: Promise<unknown> = Promise.resolve();
  #wake: () => void = () => undefined;

  constructor(options: NodeOptions) {
    this.#options = options;
  }

  job(id: string): Job | undefined {
    return this.#jobs.get(id);
  }

  get running(): number {
    return this.#jobs.size;
  }

  /** Registers and adopts; resolves when the server knows this node and leftovers are gone. */
  async start(context: Omit<JobContext, "report">): Promise<void> {
    this.#context = { ...context, report: (event, record) => this.#report(event, record) };
    const { controlPlane, name, vcpus, memoryMb, address, driver, imageName } = this.#options;
    const registered = await this.#persist("register", () =>
      controlPlane.register({
        node: name,
        boot_id: this.#bootId,
        address,
        vcpus,
        memory_mb: memoryMb,
        isolation: [driver.facts.isolation.level],
        rootfs_types: [imageName],
      }),
    );
    await this.#takeUp(registered?.held ?? []);
    this.#loops = Promise.all([this.#claimLoop(), this.#renewLoop()]);
  }

  /** Stops claiming; running jobs stay as they are, for the next agent process to adopt. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake();
    await this.#loops;
  }

  async #takeUp(held: Assignment[]): Promise<void> {
    const { driver, records, logger, rebooted } = this.#options;
    const context = this.#context as JobContext;
    const keep = new Set<string>();
    const fresh: Assignment[] = [];
    const adopted: { job: Job; sandbox: Sandbox | undefined }[] = [];
    for (const assignment of held) {
      const record = await records.read(assignment.id);
      if (rebooted || (record && record.phase !== "assigned")) {
        const known = record ?? { ...unstarted(assignment), phase: "started" as const };
        const sandbox = known.sandbox ? await driver.adopt(known.sandbox) : undefined;
        if (sandbox) keep.add(sandbox.id);
        // A job of before a reboot may have run, so it is not run again: adopting it without a machine ends it.
        records.create({ ...known, assignment });
        // After a reboot the mark of a start may be lost with the page cache, so nothing is concluded from it.
        const token = rebooted ? null : known.token;
        adopted.push({ job: new Job(context, { ...known, token, assignment }), sandbox });
      } else {
        fresh.push(assignment);
      }
    }
    // Before anything new is made, so that whatever is not kept is a leftover.
    const removed = await driver.reclaim(keep);
    const running = new Set(held.map(({ id }) => records.directory(id)));
    await killWrappers((directory) => directory.startsWith(records.root) && !running.has(directory));
    logger.info({ adopted: keep.size, removed }, "took up what an earlier agent left");
    for (const { job, sandbox } of adopted) this.#track(job, job.adopt(sandbox));
    for (const assignment of fresh) this.#begin(new Job(context, unstarted(assignment)));
    context.pool.start();
  }

  #begin(job: Job): void {
    this.#track(job, job.run());
  }

  #track(job: Job, done: Promise<void>): void {
    this.#jobs.set(job.id, job);
    const tracked = done.finally(() => {
      this.#jobs.delete(job.id);
      this.#running.delete(tracked);
      this.#wake();
    });
    this.#running.add(tracked);
  }

  #free() {
    let { vcpus, memoryMb } = this.#options;
    for (const job of this.#jobs.values()) {
      vcpus -= job.spec.vcpus;
      memoryMb -= job.spec.memory_mb;
    }
    return { vcpus, memoryMb };
  }

  async #claimLoop(): Promise<void> {
    const { controlPlane, name, logger } = this.#options;
    while (!this.#closing.signal.aborted) {
      const free = this.#free();
      if (free.vcpus <= 0 || free.memoryMb <= 0) {
        await this.#somethingEnds();
        continue;
      }
      try {
        const request = {
          node: name,
          boot_id: this.#bootId,
          free_vcpus: free.vcpus,
          free_memory_mb: free.memoryMb,
          max: 64,
        };
        const { jobs } = await controlPlane.claim({ ...request, wait_ms: CLAIM_WAIT_MS }, this.#closing.signal);
        for (const assignment of jobs) this.#begin(new Job(this.#context as JobContext, unstarted(assignment)));
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        logger.warn({ err: error }, "claiming work failed");
        await this.#pause(RETRY_MS);
      }
    }
  }

  #somethingEnds(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }

  async #renewLoop(): Promise<void> {
    const { controlPlane, name, logger } = this.#options;
    while (!this.#closing.signal.aborted) {
      await this.#pause(RENEW_MS);
      const jobs = [...this.#jobs.values()].map(({ id, attempt }) => ({ id, attempt }));
      try {
        const { lost, stop } = await controlPlane.renew({ node: name, boot_id: this.#bootId, jobs });
        for (const id of lost) this.#jobs.get(id)?.abandon();
        for (const id of stop) this.#jobs.get(id)?.stop();
      } catch (error) {
        if (!this.#closing.signal.aborted) logger.warn({ err: error }, "renewing leases failed");
      }
    }
  }

  async #report(event: "started" | "script_ended" | "finished", record: JobRecord): Promise<boolean> {
    const { id, attempt } = record.assignment;
    const body = { event, id, attempt, end: record.end, ran_by: record.ran_by } as ReportJob;
    const answer = await this.#persist(`report ${event} of ${id}`, async () => {
      try {
        await this.#options.controlPlane.report(body);
        return true;
      } catch (error) {
        if (error instanceof Fenced) return false;
        throw error;
      }
    });
    return answer ?? false;
  }

  /** Tries until it works; undefined when the agent closes first. */
  async #persist<T>(what: string, action: () => Promise<T>): Promise<T | undefined> {
    for (let pause = RETRY_MS; !this.#closing.signal.aborted; pause = Math.min(pause * 2, 5000)) {
      try {
        return await action();
      } catch (error) {
        this.#options.logger.warn({ err: error }, `${what} failed; trying again`);
        await this.#pause(pause);
      }
    }
    return undefined;
  }

  #pause(ms: number): Promise<void> {
    return delay(ms, undefined, { signal: this.#closing.signal }).catch(() => undefined);
  }
}
