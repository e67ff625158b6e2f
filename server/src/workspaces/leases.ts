import { randomUUID } from "node:crypto";
import { ApiError, type CreateJob, DEFAULT_IMAGE, parseBase } from "@mags/protocol";
import type { Database, Queryable } from "../db/database.ts";
import type { Events } from "../db/events.ts";
import { waitReason } from "./decide.ts";
import type { Quota } from "./quota.ts";
import { findVersion, findVersionByNumber, type VersionRow } from "./versions-store.ts";
import {
  blockers,
  findWorkspace,
  insertWorkspace,
  letGo,
  markDirty,
  usersOf,
  type WorkspaceRow,
} from "./workspaces-store.ts";

/** The disk that a job will have: columns of its row. */
export interface JobDisk {
  workspace: string | null;
  workspace_name: string | null;
  base_version: string | null;
  base_name: string | null;
  rootfs_type: string | undefined;
}

export type Volatile = Pick<CreateJob, "workspace_id" | "base_workspace_id" | "persistent">;

/** True for a job whose disk is more than a part of its machine. */
export const hasVolume = (job: Volatile): boolean =>
  job.workspace_id !== undefined || job.base_workspace_id !== undefined || job.persistent;

interface Holder {
  id: string;
  status: string;
  workspace: string | null;
  host_job: string | null;
}

/** What jobs have to do with workspaces: which one they name, who may write to it, and who waits. */
export class Leases {
  readonly #db: Database;
  readonly #events: Events;
  readonly #quota: Quota;

  constructor(db: Database, events: Events, quota: Quota) {
    this.#db = db;
    this.#events = events;
    this.#quota = quota;
  }

  /**
   * Finds what the request names, and makes the workspace where it is new. The base is settled now: versions that come later
   * are not seen. Throws ApiError invalid_request for what does not exist, workspace_in_use for
   * `on_busy: "fail"`, quota_exceeded.
   */
  async prepare(tx: Queryable, org: string, jobId: string, job: CreateJob): Promise<JobDisk> {
    const base = job.base_workspace_id === undefined ? undefined : await this.#base(tx, org, job.base_workspace_id);
    const image = this.#image(job, "base_workspace_id", base?.workspace);
    const workspace = await this.#workspace(tx, org, jobId, { ...job, rootfs_type: image });
    return {
      workspace: workspace?.id ?? null,
      workspace_name: job.workspace_id ?? null,
      base_version: base?.version.id ?? null,
      base_name: job.base_workspace_id ?? null,
      rootfs_type: this.#image({ ...job, rootfs_type: image }, "workspace_id", workspace),
    };
  }

  /** The job runs: what it writes is not durable until a version holds it. */
  async started(tx: Queryable, job: Holder): Promise<void> {
    if (job.workspace && !job.host_job) await markDirty(tx, job.workspace, job.id);
  }

  /** The job is over, or waits again: others may have its workspace. True when somebody should look for work. */
  async letGo(tx: Queryable, job: Holder, ended: boolean): Promise<boolean> {
    if (!job.workspace || job.host_job) return false;
    await letGo(tx, this.#events.payload("work"), job.workspace, job.id, ended);
    return true;
  }

  /** Why each of these jobs has not been started, as far as that is because of its workspace. */
  async waits(jobs: (Holder & { workspace_name: string | null })[]): Promise<Map<string, string>> {
    const waiting = jobs.filter((job) => job.status === "accepted" && job.workspace_name !== null);
    if (waiting.length === 0) return new Map();
    const found = await blockers(
      this.#db,
      waiting.map((job) => job.workspace as string),
    );
    return new Map(
      waiting.flatMap((job) => {
        const workspace = found.get(job.workspace as string);
        const reason = workspace && waitReason(workspace);
        return reason ? [[job.id, reason] as const] : [];
      }),
    );
  }

  async #base(tx: Queryable, org: string, base: string): Promise<{ workspace: WorkspaceRow; version: VersionRow }> {
    const field = "base_workspace_id";
    const { name, number } = parseBase(base);
    const workspace = await findWorkspace(tx, org, name, "use");
    if (!workspace)
      throw new ApiError(
        "invalid_request",
        `${field} ${JSON.stringify(name)} names a workspace that does not exist`,
        field,
      );
    const version = number
      ? await findVersionByNumber(tx, org, workspace.id, number)
      : workspace.latest
        ? await findVersion(tx, org, workspace.latest, "use")
        : undefined;
    if (version) return { workspace, version };
    const what = number ? `no version ${number}` : "no version yet: nothing in it has been made durable";
    throw new ApiError("invalid_request", `${field}: workspace ${JSON.stringify(name)} has ${what}`, field);
  }

  async #workspace(tx: Queryable, org: string, jobId: string, job: CreateJob): Promise<WorkspaceRow | undefined> {
    const { workspace_id: name, rootfs_type = null, disk_gb } = job;
    if (name === undefined) {
      if (!job.persistent) return undefined;
      const row = { id: randomUUID(), org, name: jobId, anonymous: true, image: rootfs_type, disk_gb };
      await insertWorkspace(tx, row);
      return row as WorkspaceRow;
    }
    const lock = job.on_busy === "fail" ? "write" : "use";
    let found = await findWorkspace(tx, org, name, lock);
    if (!found) {
      await this.#quota.lock(tx, org);
      // Another job may have made it while this one waited.
      found = await findWorkspace(tx, org, name, lock);
    }
    if (!found) {
      await this.#quota.refuseWorkspace(tx, org);
      await insertWorkspace(tx, { id: randomUUID(), org, name, anonymous: false, image: rootfs_type, disk_gb });
      found = await findWorkspace(tx, org, name, lock);
    }
    if (!found) throw new ApiError("unavailable", `workspace ${name} is being deleted: try again`);
    if (job.on_busy === "fail") await refuseBusy(tx, found);
    await this.#quota.refuseBytes(tx, org, 0);
    return found;
  }

  /** A disk belongs to the image it was written over. */
  #image(job: CreateJob, field: string, workspace: WorkspaceRow | undefined): string | undefined {
    if (!workspace) return job.rootfs_type;
    const image = workspace.image ?? DEFAULT_IMAGE;
    if (job.rootfs_type === undefined) return workspace.image ?? undefined;
    if (job.rootfs_type === image) return image;
    throw new ApiError(
      "invalid_request",
      `rootfs_type must be ${JSON.stringify(image)}: the files of ${field} ${JSON.stringify(workspace.name)} lie over that image`,
      "rootfs_type",
    );
  }
}

/** Throws ApiError workspace_in_use unless a job could start now, in a machine of its own or in one that is up. */
async function refuseBusy(tx: Queryable, workspace: WorkspaceRow): Promise<void> {
  const users = await usersOf(tx, workspace.id);
  const holder = users.find(({ id }) => id === workspace.holder_job);
  if (holder?.persistent && holder.status === "running" && !holder.stopping) return;
  const [first] = users;
  if (!first && !workspace.holder_job) return;
  const who = first ? `job ${first.id} (${first.name})` : "an operation of the API";
  throw new ApiError(
    "workspace_in_use",
    `workspace ${JSON.stringify(workspace.name)} is in use by ${who}`,
    "workspace_id",
  );
}
