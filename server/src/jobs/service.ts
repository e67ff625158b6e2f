import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import {
  ApiError,
  type CreateJob,
  type Job,
  type JobAccepted,
  type LogEnd,
  type NetworkPolicy,
  type UpdateJob,
} from "@mags/protocol";
import type { z } from "zod";
import { acting, whoActs } from "../db/acting.ts";
import type { Database, Queryable } from "../db/database.ts";
import type { Events, Subscription } from "../db/events.ts";
import type { Files } from "../files/service.ts";
import type { Nodes } from "../nodes/service.ts";
import type { Quotas } from "../quotas/service.ts";
import type { Secrets } from "../secrets/service.ts";
import { hasVolume, type Leases } from "../workspaces/service.ts";
import { decideStop, decideUpdate } from "./decide.ts";
import { generateName } from "./names.ts";
import { markRerun, rerunRequest } from "./rerun.ts";
import { wakeHolder } from "./sleep-store.ts";
import {
  endWaiting,
  findBySubdomain,
  findForNode,
  findJob,
  findLiveByName,
  findLiveOnWorkspace,
  findPersistentHolder,
  insertJob,
  type JobFilter,
  type JobRow,
  listJobs,
  nameHost,
  requestStop,
  updateJob,
} from "./store.ts";
import { emptyLogEnd, scriptEnded, toJob } from "./view.ts";

export { Dispatch } from "./dispatch.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** Events wake waiters at once; this is for the ones that got lost, `ms`. */
const POLL_MS = 1000;

interface Done {
  status: number;
  body: z.infer<typeof JobAccepted>;
  afterCommit: () => void;
}

/** Where a log is to be had. */
export interface LogSource {
  id: string;
  /** where the job was last */
  node: string | undefined;
  /** it is there now, so what that node has is all of the log */
  held: boolean;
  /** some of the log may be in the object store */
  begun: boolean;
  /** stands for the last record where a log has none */
  end: LogEnd | undefined;
}

interface JobNeeds {
  nodes: Nodes;
  files: Files;
  leases: Leases;
  quotas: Quotas;
  secrets: Secrets;
}

/** The use cases of the public API. `org` is the caller's organisation: jobs of another are not found. */
export class Jobs {
  readonly #db: Database;
  readonly #events: Events;
  readonly #nodes: Nodes;
  readonly #files: Files;
  readonly #leases: Leases;
  readonly #quotas: Quotas;
  readonly #secrets: Secrets;
  readonly #appsUrl: URL;

  constructor(db: Database, events: Events, needs: JobNeeds, appsUrl: string) {
    this.#appsUrl = new URL(appsUrl);
    this.#db = db;
    this.#events = events;
    this.#nodes = needs.nodes;
    this.#files = needs.files;
    this.#leases = needs.leases;
    this.#quotas = needs.quotas;
    this.#secrets = needs.secrets;
  }

  /** True when `create` writes with one statement, which needs no transaction. `tx`: of who is in one already. */
  async createsAtOnce(org: string, job: CreateJob, tx?: Queryable): Promise<boolean> {
    return job.file_ids.length === 0 && !hasVolume(job) && (await this.#quotas.isFree(org, tx));
  }

  /** Queues a job. Throws ApiError when no node could ever run it, or what it names cannot be had. */
  async create(q: Queryable, org: string, job: CreateJob): Promise<Done> {
    await this.#files.use(q, org, job.file_ids);
    const id = randomUUID();
    const name = job.name ?? generateName();
    const disk = hasVolume(job) ? await this.#leases.prepare(q, org, id, job) : undefined;
    const secrets = await this.#secrets.pin(q, org, job.secrets);
    const spec = {
      ...job,
      name,
      secrets,
      ...(disk?.rootfs_type === undefined ? {} : { rootfs_type: disk.rootfs_type }),
    };
    if (disk?.workspace) await refuseOtherNetwork(q, org, disk.workspace, job.network);
    await this.#nodes.refuseImpossible(q, spec);
    await this.#quotas.admitJob(q, org, spec);
    await insertJob(q, this.#events.payload("work"), { id, org, name }, spec, disk, whoActs());
    if (disk?.workspace)
      await wakeHolder(q, this.#events.payload("work"), disk.workspace, `job ${name} runs in its workspace`);
    const body = { request_id: id, name, status: "accepted" as const, message: "Job accepted" };
    return { status: 202, body, afterCommit: () => this.#events.emit("work") };
  }

  /** Queues a job that repeats another, see `rerunRequest`. Throws ApiError as that and `create` do, and not_found. */
  async rerun(tx: Queryable, org: string, idOrName: string, workspace: string | undefined): Promise<Done> {
    const row = await this.lock(tx, org, idOrName);
    const made = await this.create(tx, org, await rerunRequest(tx, row, workspace));
    await markRerun(tx, org, made.body.request_id, row.id);
    return made;
  }

  /** Ends a job, or asks its node to. Throws ApiError not_found, or conflict when it has ended already. */
  async stop(tx: Queryable, org: string, idOrName: string): Promise<Done> {
    const row = await this.lock(tx, org, idOrName);
    const { action, reason } = decideStop(row);
    if (action === "refuse") throw new ApiError("conflict", `${reason}: job ${row.id}`);
    const base = { request_id: row.id, name: row.name };
    if (action === "end") {
      await endWaiting(tx, this.#events.payload(`job:${row.id}`), row.id);
      await this.#leases.letGo(tx, row, true);
      return {
        status: 202,
        body: {
          ...base,
          status: "stopped",
          message: row.status === "sleeping" ? "Job stopped" : "Job stopped before it started",
        },
        afterCommit: () => this.#events.emit(`job:${row.id}`),
      };
    }
    await requestStop(tx, row.id);
    const push = () => {
      if (row.node) this.#nodes.pushStop(row.node, row.id);
    };
    return { status: 202, body: { ...base, status: row.status, message: "Job is being stopped" }, afterCommit: push };
  }

  /** For others who end jobs in a transaction of theirs; one that has ended meanwhile is let be. */
  stopping(org: string): { stop(tx: Queryable, id: string): Promise<void>; afterCommit(): void } {
    const done: Done[] = [];
    return {
      stop: async (tx, id) => {
        try {
          done.push(await this.stop(tx, org, id));
        } catch (error) {
          if (!(error instanceof ApiError && error.code === "conflict")) throw error;
        }
      },
      afterCommit: () => {
        for (const { afterCommit } of done) afterCommit();
      },
    };
  }

  /** The workspace that a job writes to, its own or that of the job whose machine it shares. Throws ApiError not_found, conflict. */
  async workspaceOf(org: string, idOrName: string): Promise<string> {
    const row = await this.#find(org, await this.#resolve(this.#db, org, idOrName));
    if (row.workspace) return row.workspace;
    throw new ApiError("conflict", `job ${row.id} has no workspace: nothing that it writes is kept`);
  }

  /** Throws ApiError not_found, or conflict when the job has ended or cannot have what is asked. */
  async update(org: string, idOrName: string, change: UpdateJob) {
    const changed = await this.#db.transaction(async (tx) => {
      const row = await this.lock(tx, org, idOrName);
      const { action, reason } = decideUpdate(row, change.no_sleep === true);
      if (action === "refuse") throw new ApiError("conflict", `${reason}: job ${row.id}`);
      const given = Object.entries(change).filter(([, value]) => value !== undefined);
      return (await updateJob(tx, row.id, { ...row, ...Object.fromEntries(given) })) ?? row;
    });
    return this.show(changed);
  }

  /** Shows a job, once its script has ended or `waitMs` passed. Throws ApiError not_found. */
  async status(org: string, idOrName: string, waitMs: number, signal: AbortSignal) {
    const id = await this.#resolve(this.#db, org, idOrName);
    if (waitMs === 0) return this.show(await this.#find(org, id));
    const deadline = Date.now() + waitMs;
    using changes = this.changes(id);
    for (;;) {
      const row = await this.#find(org, id);
      const left = deadline - Date.now();
      if (scriptEnded(row) || left <= 0 || signal.aborted) return this.show(row);
      await changes.next(Math.min(left, POLL_MS), signal);
    }
  }

  async list(org: string, filter: JobFilter, page: number, pageSize: number) {
    const { jobs, total } = await listJobs(this.#db, org, filter, pageSize, (page - 1) * pageSize);
    const waits = await this.#leases.waits(jobs);
    return { jobs: jobs.map((job) => toJob(job, this.#appsUrl, waits.get(job.id))), total, page, page_size: pageSize };
  }

  /** Throws ApiError not_found. */
  async logSource(org: string, idOrName: string): Promise<LogSource> {
    const row = await this.find(org, idOrName);
    const end = scriptEnded(row) ? emptyLogEnd(row) : undefined;
    const held = row.status === "starting" || row.status === "running";
    return { id: row.id, node: row.node ?? undefined, held, begun: row.attempt > 0, end };
  }

  /** Changes of the job from now on. To be asked for before one looks at it, or the change in between is missed. */
  changes(id: string): Subscription {
    return this.#events.subscribe(`job:${id}`);
  }

  /** The row of a job, of which a name or a workspace is enough. Throws ApiError not_found. */
  async find(org: string, idOrName: string): Promise<JobRow> {
    return this.#find(org, await this.#resolve(this.#db, org, idOrName));
  }

  /** As it is shown. */
  async show(row: JobRow): Promise<Job> {
    return toJob(row, this.#appsUrl, (await this.#leases.waits([row])).get(row.id));
  }

  /** The row, locked until the transaction ends. Throws ApiError not_found. */
  async lock(tx: Queryable, org: string, idOrName: string): Promise<JobRow> {
    const id = await this.#resolve(tx, org, idOrName);
    const row = await findJob(tx, org, id, { lock: true });
    if (!row) throw new ApiError("not_found", `there is no job ${id}`);
    return row;
  }

  /** A job of whatever organisation, for a visitor who was let in already. */
  ofAnyone(id: string): Promise<JobRow | undefined> {
    return findForNode(this.#db, id);
  }

  /** The job of a public host name, of whatever organisation. */
  bySubdomain(subdomain: string): Promise<JobRow | undefined> {
    return findBySubdomain(this.#db, subdomain);
  }

  /** The live job that has the workspace; the newest where several share its machine. */
  onWorkspace(org: string, workspace: string): Promise<JobRow | undefined> {
    return findLiveOnWorkspace(this.#db, org, workspace);
  }

  /** Gives a job its host name; answers the one it has where it has one. Throws ApiError not_found. */
  async nameHost(tx: Queryable, org: string, id: string, subdomain: string): Promise<string> {
    const given = await nameHost(tx, org, id, subdomain);
    if (!given) throw new ApiError("not_found", `there is no job ${id}`);
    return given;
  }

  async #find(org: string, id: string): Promise<JobRow> {
    const row = await findJob(this.#db, org, id);
    if (!row) throw new ApiError("not_found", `there is no job ${id}`);
    return row;
  }

  async #resolve(q: Queryable, org: string, idOrName: string): Promise<string> {
    const id = UUID.test(idOrName) ? idOrName.toLowerCase() : await findLiveByName(q, org, idOrName);
    if (!id)
      throw new ApiError(
        "not_found",
        `there is no job with the id ${JSON.stringify(idOrName.slice(0, 128))}, and no live one of that name`,
      );
    // A name is another job's tomorrow; the audit log tells which one it was.
    const who = acting.getStore();
    if (who) who.job = id;
    return id;
  }
}

/** A machine has one network: a job that would run in one that is up, or asleep, cannot have another. Throws ApiError conflict. */
async function refuseOtherNetwork(q: Queryable, org: string, workspace: string, wanted: NetworkPolicy): Promise<void> {
  if (wanted === "default") return;
  const host = await findPersistentHolder(q, org, workspace);
  if (!host || isDeepStrictEqual(host.network ?? "default", wanted)) return;
  throw new ApiError(
    "conflict",
    `it would run in the machine of job ${host.id}, which has the workspace and a network of its own: leave network out, or stop that job first`,
    "network",
  );
}
