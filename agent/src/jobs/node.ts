import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@mags/kit";
import { type Assignment, DEFAULT_IMAGE, type ReportJob } from "@mags/protocol";
import { type ControlPlane, Fenced } from "../control-plane.ts";
import type { Images } from "../images/index.ts";
import type { LogKeeper } from "../logs/index.ts";
import type { Drivers, Sandbox } from "../sandbox/driver.ts";
import { killWrappers } from "../sandbox/wrapper.ts";
import type { JobContext } from "./context.ts";
import { Job } from "./job.ts";
import { type JobRecord, type JobRecords, unstarted } from "./record.ts";

/** How often leases are renewed, `ms`. */
const RENEW_MS = 1000;
/** How long the server may hold a claim, `ms`. */
const CLAIM_WAIT_MS = 10_000;
/** The same when there is room only for jobs that run in the machine of another: what ends meanwhile makes some, `ms`. */
const FULL_WAIT_MS = 1000;
/** Pause after a failed call, `ms`. */
const RETRY_MS = 200;

export interface NodeOptions {
  vcpus: number;
  memoryMb: number;
  address: string;
  labels: Record<string, string>;
  /** machines that have left the cluster: what they show opens nothing any more */
  onRemoved(ids: string[]): void;
  images: Images;
  /** the machine has been restarted since the last agent process, so nothing of before can still run */
  rebooted: boolean;
  controlPlane: ControlPlane;
  drivers: Drivers;
  records: JobRecords;
  keeper: LogKeeper;
  logger: Logger;
}

/** The loops of a node: register, take up what was running, claim work that fits, renew its leases. */
export class JobNode {
  readonly #options: NodeOptions;
  readonly #jobs = new Map<string, Job>();
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #works = new WeakMap<Job, Promise<void>>();
  #context: JobContext | undefined;
  readonly #takenUp = Promise.withResolvers<void>();
  #loops: Promise<unknown> = Promise.resolve();
  #wake: () => void = () => undefined;

  constructor(options: NodeOptions) {
    this.#options = options;
  }

  /** resolves when the jobs of an earlier agent process are known */
  get takenUp(): Promise<void> {
    return this.#takenUp.promise;
  }

  job(id: string): Job | undefined {
    return this.#jobs.get(id);
  }

  get jobs(): Iterable<Job> {
    return this.#jobs.values();
  }

  /** Machines of jobs that stand on an image. */
  machinesOn(image: string): number {
    return [...this.#jobs.values()].filter(({ spec }) => (spec.rootfs_type ?? DEFAULT_IMAGE) === image).length;
  }

  get running(): number {
    return this.#jobs.size;
  }

  /** Registers and adopts; resolves when the server knows this node and leftovers are gone. */
  async start(context: Omit<JobContext, "report" | "giveBack" | "slept" | "job" | "closing">): Promise<void> {
    this.#context = {
      ...context,
      closing: this.#closing.signal,
      job: (id) => this.#jobs.get(id),
      report: (event, record) => this.#report({ event, end: record.end, ran_by: record.ran_by }, record),
      slept: async (record, because) => {
        // Before another node may wake it.
        await this.#options.keeper.keep(record.assignment);
        await this.#report({ event: "slept", because }, record);
      },
      giveBack: async (record, message) => void (await this.#report({ event: "returned", message }, record)),
    };
    const registered = await this.#register();
    await this.#takeUp(registered?.held ?? []);
    this.#options.keeper.start(() => this.#jobs.values());
    this.#loops = Promise.all([this.#claimLoop(), this.#renewLoop()]);
  }

  /** Tells the server anew what this node can do; what runs on it is not touched. */
  async announce(): Promise<void> {
    if (this.#context) await this.#register();
  }

  #register() {
    const { controlPlane, vcpus, memoryMb, address, labels, drivers, images } = this.#options;
    return this.#persist("register", () =>
      controlPlane.register({
        address,
        vcpus,
        memory_mb: memoryMb,
        isolation: drivers.all.map((driver) => driver.facts.isolation.level),
        rootfs_types: images.offered,
        image_digests: images.digests,
        labels,
      }),
    );
  }

  /** Stops claiming; running jobs stay as they are, for the next agent process to adopt. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake();
    await this.#loops;
  }

  async #takeUp(held: Assignment[]): Promise<void> {
    const { drivers, records, logger, rebooted } = this.#options;
    const context = this.#context as JobContext;
    const keep = new Set<string>();
    /** directories of scripts that may still run */
    const known = new Set<string>();
    const fresh: Assignment[] = [];
    const adopted: { job: Job; sandbox: Sandbox | undefined }[] = [];
    const late = new Map<string, Promise<Sandbox | undefined>>();
    for (const assignment of held) {
      const record = await records.read(assignment.id);
      if (record) known.add(records.runDirectory(assignment));
      // One that runs and has no record was started by an agent whose directory is lost.
      if (rebooted || assignment.running || (record && record.phase !== "assigned")) {
        const found = mayHaveRun(assignment, record, rebooted);
        // In the machine of another job there is nothing of its own to adopt.
        const own = assignment.host_job === null ? found.sandbox : null;
        const job = this.#made(found);
        let sandbox: Sandbox | undefined;
        try {
          sandbox = own ? await drivers.adopt(own) : undefined;
          if (sandbox) keep.add(sandbox.id);
        } catch (err) {
          // Not known to be gone, so it stays; its job waits for it, and those of others that run in it.
          logger.error({ err, job: job.id, sandbox: own }, "a sandbox could not be taken up; trying again");
          keep.add(own as string);
          late.set(job.id, this.#adoptLate(job, own as string));
        }
        try {
          records.write(found);
        } catch (err) {
          logger.warn({ err, job: assignment.id }, "the record of a job could not be renewed; the next step writes it");
        }
        adopted.push({ job, sandbox });
      } else {
        fresh.push(assignment);
      }
    }
    // The wrappers first: the end of a machine that is not kept must not be taken for the end of its script.
    await killWrappers((directory) => directory.startsWith(records.root) && !known.has(directory));
    // Before anything new is made, so that whatever is not kept is a leftover.
    const removed = await drivers.reclaim(keep);
    logger.info({ adopted: keep.size, removed }, "took up what an earlier agent left");
    // A machine before the jobs of others that run in it, which look for it.
    adopted.sort((a, b) => Number(a.job.assignment.host_job !== null) - Number(b.job.assignment.host_job !== null));
    for (const { job, sandbox } of adopted) {
      const { id, host_job } = job.assignment;
      const waited = late.get(host_job ?? id);
      this.#track(job, waited ? () => this.#takeUpLate(job, waited) : () => job.adopt(sandbox));
    }
    for (const assignment of fresh) this.#begin(this.#made(unstarted(assignment)));
    this.#takenUp.resolve();
    context.pool.start();
    const awaited = adopted
      .filter(({ job }) => late.has(job.id))
      .map(({ job }) => job.assignment.volume?.workspace?.id);
    context.workspaces.start(new Set(awaited));
  }

  /** Undefined when it has gone, or is no longer waited for. */
  #adoptLate(job: Job, sandbox: string): Promise<Sandbox | undefined> {
    const adopt = async () => (job.abandoned ? undefined : this.#options.drivers.adopt(sandbox));
    return this.#persist(`taking up sandbox ${sandbox} of job ${job.id}`, adopt);
  }

  async #takeUpLate(job: Job, waited: Promise<Sandbox | undefined>): Promise<void> {
    const sandbox = await waited;
    if (this.#closing.signal.aborted || job.abandoned) return;
    await job.adopt(job.assignment.host_job === null ? sandbox : undefined);
  }

  #made(record: JobRecord): Job {
    return new Job({ ...(this.#context as JobContext), logger: this.#logger(record.assignment) }, record);
  }

  /** Every line about a job names it, and the request that made it, as the lines of gateway and server do. */
  #logger({ id, request_id }: Assignment): Logger {
    return this.#options.logger.child({ job: id, request: request_id });
  }

  #begin(job: Job): void {
    // One that this node had lost may be given to it again: what is left of it here goes first.
    const before = this.#jobs.get(job.id);
    before?.abandon();
    this.#track(job, async () => {
      await (before && this.#works.get(before));
      await this.#options.keeper.bring(job.assignment);
      await job.run();
    });
  }

  #track(job: Job, work: () => Promise<void>): void {
    this.#jobs.set(job.id, job);
    const failed = (err: Error) => this.#logger(job.assignment).error({ err }, "a job was let go of");
    const tracked = work()
      .catch(failed)
      .finally(() => {
        if (this.#jobs.get(job.id) === job) this.#jobs.delete(job.id);
        this.#running.delete(tracked);
        if (job.phase === "reported") void this.#options.keeper.keep(job.assignment);
        this.#wake();
      });
    this.#running.add(tracked);
    this.#works.set(job, tracked);
  }

  #free() {
    let { vcpus, memoryMb } = this.#options;
    for (const job of this.#jobs.values()) {
      if (job.assignment.host_job !== null) continue;
      vcpus -= job.spec.vcpus;
      memoryMb -= job.spec.memory_mb;
    }
    return { vcpus, memoryMb };
  }

  async #claimLoop(): Promise<void> {
    const { controlPlane, logger } = this.#options;
    // What the last claim gave, if anything, was not heard: nobody would run it, and its lease would end.
    let unheard = false;
    while (!this.#closing.signal.aborted) {
      const free = this.#free();
      const full = free.vcpus <= 0 || free.memoryMb <= 0;
      if (full && !this.#hosts()) {
        await this.#somethingEnds();
        continue;
      }
      try {
        const request = {
          free_vcpus: Math.max(0, free.vcpus),
          free_memory_mb: Math.max(0, free.memoryMb),
          max: 64,
          wait_ms: full ? FULL_WAIT_MS : CLAIM_WAIT_MS,
          has: unheard ? [...this.#jobs.keys()] : null,
        };
        const { jobs } = await controlPlane.claim(request, this.#closing.signal);
        unheard = false;
        for (const assignment of jobs) this.#begin(this.#made(unstarted(assignment)));
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        unheard = true;
        logger.warn({ err: error }, "claiming work failed");
        await this.#pause(RETRY_MS);
      }
    }
  }

  /** Some machine here may take in jobs that need no room. */
  #hosts(): boolean {
    return [...this.#jobs.values()].some((job) => job.spec.persistent && job.machine?.workspace);
  }

  #somethingEnds(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }

  async #renewLoop(): Promise<void> {
    const { controlPlane, logger } = this.#options;
    while (!this.#closing.signal.aborted) {
      await this.#pause(RENEW_MS);
      const jobs = [...this.#jobs.values()].map((job) => {
        const { idle_ms = null, because = null } = job.idle() ?? {};
        return { id: job.id, attempt: job.attempt, idle_ms, because };
      });
      try {
        const kept = (this.#context as JobContext).suspended;
        const suspended = kept.list().filter(({ id }) => !this.#jobs.has(id));
        const { lost, stop, sleep, forget, removed } = await controlPlane.renew({ jobs, suspended });
        this.#options.onRemoved(removed);
        kept.forget(forget.filter((id) => !this.#jobs.has(id)));
        for (const id of lost) this.#jobs.get(id)?.abandon();
        for (const id of stop) this.#jobs.get(id)?.stop();
        for (const { id, because, forced } of sleep) void this.#jobs.get(id)?.sleep(because, forced);
      } catch (error) {
        if (!this.#closing.signal.aborted) logger.warn({ err: error }, "renewing leases failed");
      }
    }
  }

  async #report(what: Pick<ReportJob, "event"> & Record<string, unknown>, record: JobRecord): Promise<boolean> {
    const { id, attempt } = record.assignment;
    const body = { ...what, id, attempt } as ReportJob;
    this.#logger(record.assignment).info({ attempt, event: what.event }, "a job has come so far");
    const answer = await this.#persist(`report ${what.event} of ${id}`, async () => {
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

/**
 * What is to be concluded of a job that may have run. After a reboot the mark of its start may be lost with the page cache, and
 * its record may be older than it: it is not run again, and adopting it without a machine ends it. Likewise without a record.
 */
function mayHaveRun(assignment: Assignment, record: JobRecord | undefined, rebooted: boolean): JobRecord {
  const found = record ?? unstarted(assignment);
  const phase = found.phase === "assigned" ? "started" : found.phase;
  return { ...found, assignment, phase, token: rebooted || !record ? null : found.token };
}
