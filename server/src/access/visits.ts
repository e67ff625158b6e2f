import type { Logger } from "@mags/kit";
import { ApiError, CreateJob, isFinal } from "@mags/protocol";
import type { Database } from "../db/database.ts";
import type { Jobs } from "../jobs/service.ts";
import type { LiveWorkspaces, Workspaces } from "../workspaces/service.ts";
import type { Access, Place } from "./service.ts";
import { beatVisit, insertVisit, removeVisit, type VisitRow } from "./visits-store.ts";

/** Longest visit, `s`. The machine ends by itself then, also when no server is left that would end it. */
const LONGEST_SECONDS = 3600;
/** Events wake waiters at once; this is for the ones that got lost, `ms`. */
const POLL_MS = 500;
/** How long the end of a visit's machine is waited for, `ms`. */
const END_MS = 60_000;
/** How often a visit says that its server lives, `ms`. */
const BEAT_MS = 5000;

/** A machine in which the files of a workspace are. */
export interface Visit {
  place: Place;
  /**
   * Ends it, once. What was written is durable when this resolves; with `whole: false` none of it is kept where the machine was
   * our own.
   */
  end(whole: boolean): Promise<void>;
}

interface Needs {
  db: Database;
  jobs: Jobs;
  access: Access;
  workspaces: Workspaces;
  live: LiveWorkspaces;
  logger: Logger;
}

/**
 * Opens workspaces that no job has up, for their files. That is a short job like any other, with its lease and its versions: so
 * a file system that its owner has prepared is mounted where it can do no harm, and links in it lead nowhere outside.
 */
export class Visits {
  readonly #needs: Needs;

  constructor(needs: Needs) {
    this.#needs = needs;
  }

  /** To read: the machine that is up, else the latest version, or the one that is named. Throws ApiError. */
  async read(org: string, name: string, version: number | undefined, signal: AbortSignal): Promise<Visit> {
    await this.#needs.workspaces.find(org, name);
    const holder = version === undefined ? await this.#holder(org, name, signal) : undefined;
    if (holder) return this.#up(org, holder, signal);
    const base_workspace_id = version === undefined ? name : `${name}@${version}`;
    return this.#own(org, { base_workspace_id }, signal);
  }

  /**
   * To write: in the machine that is up, else in one of our own. Throws ApiError workspace_in_use while a job is about to have it,
   * not_found unless `create`.
   */
  async write(org: string, name: string, { create, signal }: { create: boolean; signal: AbortSignal }): Promise<Visit> {
    const { workspaces, live } = this.#needs;
    if (!create) await workspaces.find(org, name);
    const holder = await this.#holder(org, name, signal);
    const up = holder === undefined ? undefined : await this.#up(org, holder, signal);
    const visit = up ?? (await this.#own(org, { workspace_id: name, on_busy: "fail" }, signal));
    return {
      place: visit.place,
      end: async (whole) => {
        await visit.end(whole);
        if (!whole) return;
        const { id } = await workspaces.find(org, name);
        const done = await live.sync(org, id, AbortSignal.timeout(END_MS));
        if (!done.synced) throw new ApiError("unavailable", done.message);
      },
    };
  }

  /** Ends the visit of a server that has died, unless it beats again: nothing of what it wrote is kept. */
  async giveUp({ org, job, beat }: VisitRow): Promise<void> {
    if (!(await this.#close(org, job, { whole: false, beat }))) return;
    this.#needs.logger.warn(
      { job },
      "a server has died while it was at the files of a workspace; what it wrote is given up",
    );
  }

  /** The job whose machine has the workspace; the end of one that is about to end is waited for. */
  async #holder(org: string, name: string, signal: AbortSignal): Promise<string | undefined> {
    const { jobs, workspaces } = this.#needs;
    const patience = AbortSignal.any([signal, AbortSignal.timeout(END_MS)]);
    for (;;) {
      const holder = (await workspaces.named(org, name))?.holder_job;
      if (!holder) return undefined;
      using changes = jobs.changes(holder);
      if (!isEnding(await jobs.find(org, holder)) || patience.aborted) return holder;
      await changes.next(POLL_MS, patience);
    }
  }

  async #up(org: string, job: string, signal: AbortSignal): Promise<Visit> {
    return { place: await this.#needs.access.find(org, job, signal), end: async () => undefined };
  }

  async #own(org: string, disk: Partial<CreateJob>, signal: AbortSignal): Promise<Visit> {
    const { db, jobs, access } = this.#needs;
    const name = `files-of-${(disk.workspace_id ?? disk.base_workspace_id ?? "").split("@")[0]}`;
    const script = `exec sleep ${LONGEST_SECONDS}`;
    const job = CreateJob.parse({ ...disk, name, script, timeout: LONGEST_SECONDS + 60 });
    const made = await db.transaction(async (tx) => {
      const made = await jobs.create(tx, org, job);
      await insertVisit(tx, org, made.body.request_id);
      return made;
    });
    made.afterCommit();
    const id = made.body.request_id;
    const beating = setInterval(() => void beatVisit(db, org, id).catch(() => undefined), BEAT_MS);
    const end = (whole: boolean) => this.#end(org, id, whole).finally(() => clearInterval(beating));
    try {
      return { place: await access.find(org, id, signal), end };
    } catch (error) {
      await end(false);
      throw error;
    }
  }

  /** Throws ApiError unavailable when others have given a whole write up. */
  async #end(org: string, id: string, whole: boolean): Promise<void> {
    const { jobs, logger } = this.#needs;
    const done = await this.#close(org, id, { whole }).catch((err) => {
      if (whole) throw err;
      logger.warn({ err: err.message, job: id }, "a write that was cut off is given up later");
    });
    // It beats no more: as soon as the database is back, it is ended as that of a server that has died.
    if (done === undefined) return;
    if (whole && !done)
      throw new ApiError("unavailable", "the write was given up: this server was not heard for too long");
    const signal = AbortSignal.timeout(END_MS);
    using changes = jobs.changes(id);
    while (!signal.aborted && !isFinal((await jobs.find(org, id)).status)) await changes.next(POLL_MS, signal);
  }

  /**
   * Stops its machine, in one step with what becomes of the files: stopped in order, it would make a version of them. False when
   * that has been done.
   */
  async #close(org: string, job: string, { whole, beat }: { whole: boolean; beat?: number }): Promise<boolean> {
    const { db, jobs, workspaces } = this.#needs;
    const stops = jobs.stopping(org);
    const done = await db.transaction(async (tx) => {
      await jobs.lock(tx, org, job);
      if (!(await removeVisit(tx, { org, job, beat }))) return false;
      if (!whole) await workspaces.discard(tx, org, job);
      await stops.stop(tx, job);
      return true;
    });
    stops.afterCommit();
    return done;
  }
}

/** Nobody is let into its machine any more. */
const isEnding = (job: Awaited<ReturnType<Jobs["find"]>>): boolean =>
  isFinal(job.status) || job.stop_requested_at !== null || (!job.persistent && job.script_ended_at !== null);
