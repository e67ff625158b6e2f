import { randomUUID } from "node:crypto";
import {
  ApiError,
  parseBase,
  type VersionList,
  type Workspace,
  type WorkspaceList,
  type WorkspaceVersion,
} from "@mags/protocol";
import type { Database, Queryable } from "../db/database.ts";
import { holdCollection } from "./chunks-store.ts";
import { refuseRemoval, refuseRollBack } from "./decide.ts";
import type { Quota } from "./quota.ts";
import {
  deleteVersion,
  findVersion,
  findVersionByNumber,
  insertVersion,
  isWanted,
  listVersions,
  lockVersion,
  type VersionRow,
  versionBefore,
  versionName,
} from "./versions-store.ts";
import { toVersion, toWorkspace } from "./view.ts";
import {
  countWorkspaces,
  deleteWorkspace,
  fenceOff,
  findWorkspace,
  insertWorkspace,
  setDurable,
  summarise,
  type User,
  usersOf,
  type WorkspaceRow,
  writtenBy,
} from "./workspaces-store.ts";

/** Ends a job in the same transaction. */
export type StopJob = (tx: Queryable, id: string) => Promise<void>;

/** The use cases of the public API that need rows alone. `org` is the caller's: what belongs to another is not found. */
export class Workspaces {
  readonly #db: Database;
  readonly #quota: Quota;

  constructor(db: Database, quota: Quota) {
    this.#db = db;
    this.#quota = quota;
  }

  async list(org: string, page: number, pageSize: number): Promise<WorkspaceList> {
    const [rows, total] = await Promise.all([
      summarise(this.#db, org, { limit: pageSize, offset: (page - 1) * pageSize }),
      countWorkspaces(this.#db, org),
    ]);
    return { workspaces: rows.map(toWorkspace), total, page, page_size: pageSize };
  }

  /** Throws ApiError not_found. */
  async show(org: string, name: string, q: Queryable = this.#db): Promise<Workspace> {
    const [row] = await summarise(q, org, { name });
    if (!row) throw missing(name);
    return toWorkspace(row);
  }

  named(org: string, name: string): Promise<WorkspaceRow | undefined> {
    return findWorkspace(this.#db, org, name);
  }

  /** The row, for those who act on it. Throws ApiError not_found. */
  async find(org: string, name: string): Promise<WorkspaceRow> {
    return found(await this.named(org, name), name);
  }

  /** Version `number`, or the latest. Throws ApiError not_found. */
  async version(org: string, name: string, number: number | undefined): Promise<VersionRow> {
    return versionOf(this.#db, org, await this.find(org, name), number);
  }

  /**
   * A version and what it is compared with: the one that is named, else what it was made from, else the one before it; undefined
   * for the image. Throws ApiError not_found.
   */
  async compared(
    org: string,
    name: string,
    { version, from }: { version?: number | undefined; from?: string | undefined },
  ): Promise<{ to: VersionRow; from: VersionRow | undefined; names: { before: string | null; after: string } }> {
    const to = await this.version(org, name, version);
    const names = { before: null, after: `${name}@${to.number}` };
    if (from !== undefined) {
      const other = parseBase(from);
      const row = await this.version(org, other.name, other.number);
      return { to, from: row, names: { ...names, before: `${other.name}@${row.number}` } };
    }
    const row =
      (to.parent && (await findVersion(this.#db, org, to.parent))) || (await versionBefore(this.#db, org, to));
    return { to, from: row, names: { ...names, before: row ? await versionName(this.#db, org, row) : null } };
  }

  /** Throws ApiError not_found. */
  async versions(org: string, name: string): Promise<VersionList> {
    const { id, latest } = await this.find(org, name);
    const rows = await listVersions(this.#db, org, id);
    return { workspace_id: name, versions: rows.map((row) => toVersion(row, latest)) };
  }

  /**
   * Deletes a workspace with all its versions; the objects go with the next collections. With `force` the jobs that use it
   * are stopped; their ids are answered. Throws ApiError not_found, workspace_in_use.
   */
  async remove(tx: Queryable, org: string, name: string, force: boolean, stop: StopJob): Promise<string[]> {
    const { id } = found(await findWorkspace(tx, org, name), name);
    const users = await usersOf(tx, id);
    if (!force) refuseUse(name, users);
    // Jobs before the workspace: so does whoever reports of one.
    for (const user of users) await stop(tx, user.id);
    found(await findWorkspace(tx, org, name, "delete"), name);
    const known = new Set(users.map((user) => user.id));
    refuseUse(
      name,
      (await usersOf(tx, id)).filter((user) => !known.has(user.id)),
    );
    await deleteWorkspace(tx, org, id);
    return users.map((user) => user.id);
  }

  /** Makes a workspace whose first version is one of another: no object is copied. Throws ApiError not_found, conflict, quota_exceeded. */
  async fork(tx: Queryable, org: string, name: string, to: string, number: number | undefined): Promise<void> {
    await holdCollection(tx, org);
    const source = found(await findWorkspace(tx, org, name, "use"), name);
    const version = await versionOf(tx, org, source, number);
    await this.#quota.refuseWorkspace(tx, org);
    const id = randomUUID();
    const disk_gb = Math.max(source.disk_gb, version.volume_bytes / 2 ** 30);
    if (!(await insertWorkspace(tx, { id, org, name: to, anonymous: false, image: source.image, disk_gb })))
      throw new ApiError("conflict", `workspace ${JSON.stringify(to)} already exists`, "workspace_id");
    await insertVersion(tx, org, { ...again(version), workspace: id, number: 1, reason: "fork" });
    await setDurable(tx, id);
  }

  /**
   * Makes a new version that is the same as an old one. With `force` also while a machine is up: it is stopped, and what it
   * writes from now on is refused. Throws ApiError not_found, workspace_in_use.
   */
  async rollBack(tx: Queryable, org: string, name: string, to: { version: number; force: boolean }, stop: StopJob) {
    const before = found(await findWorkspace(tx, org, name), name);
    const up = (await usersOf(tx, before.id)).filter(({ status }) => status === "starting" || status === "running");
    if (to.force) for (const user of up) await stop(tx, user.id);
    await holdCollection(tx, org);
    const workspace = found(await findWorkspace(tx, org, name, "write"), name);
    const refusal = refuseRollBack(workspace, up);
    if (refusal && !to.force) throw new ApiError("workspace_in_use", refusal);
    const version = await versionOf(tx, org, workspace, to.version);
    const latest = workspace.latest ? await findVersion(tx, org, workspace.latest) : undefined;
    if (refusal) await fenceOff(tx, workspace.id);
    const number = (latest?.number ?? 0) + 1;
    const row = {
      ...again(version),
      workspace: workspace.id,
      number,
      parent: workspace.latest,
      reason: "rollback" as const,
    };
    await insertVersion(tx, org, row);
    return toVersion({ ...row, created_at: new Date() }, row.id) satisfies WorkspaceVersion;
  }

  /** Gives up what a job has written to its workspace and not made durable; it will be told. */
  async discard(tx: Queryable, org: string, job: string): Promise<void> {
    const workspace = await writtenBy(tx, org, job);
    if (workspace) await fenceOff(tx, workspace);
  }

  /** Throws ApiError not_found, conflict for the latest version or one that a job is about to start from. */
  async removeVersion(tx: Queryable, org: string, name: string, number: number): Promise<void> {
    const workspace = found(await findWorkspace(tx, org, name, "write"), name);
    const version = await versionOf(tx, org, workspace, number);
    await lockVersion(tx, version.id);
    const refusal = refuseRemoval(version, workspace.latest, await isWanted(tx, version.id));
    if (refusal) throw new ApiError("conflict", refusal, "version");
    await deleteVersion(tx, org, version.id);
  }
}

const missing = (name: string) =>
  new ApiError(
    "not_found",
    `there is no workspace ${JSON.stringify(name.slice(0, 128))}; GET /api/v1/mags-workspaces lists what there is`,
  );

function found(row: WorkspaceRow | undefined, name: string): WorkspaceRow {
  if (!row) throw missing(name);
  return row;
}

async function versionOf(q: Queryable, org: string, { id, name, latest }: WorkspaceRow, number: number | undefined) {
  const row = number
    ? await findVersionByNumber(q, org, id, number)
    : latest
      ? await findVersion(q, org, latest)
      : undefined;
  if (row) return row;
  const what = number ? `no version ${number}` : "no version yet: nothing in it has been made durable";
  throw new ApiError("not_found", `workspace ${JSON.stringify(name)} has ${what}`, number ? "version" : undefined);
}

/** A version of the same content. */
const again = (version: VersionRow) => ({ ...version, id: randomUUID(), parent: version.id, new_bytes: 0, job: null });

function refuseUse(name: string, users: User[]): void {
  if (users.length === 0) return;
  const who = users
    .map((user) => `${user.id} (${user.name}, ${user.status})`)
    .slice(0, 5)
    .join(", ");
  throw new ApiError(
    "workspace_in_use",
    `workspace ${JSON.stringify(name)} is in use by ${users.length} job(s): ${who}`,
  );
}
