import { existsSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { loopOf } from "@mags/kit";
import type { JobVolume } from "@mags/protocol";
import { fit, PARTIAL, thawLeftoverImage } from "@mags/storage";
import type { Images } from "../images/index.ts";
import type { Disk } from "../sandbox/driver.ts";
import { VersionCache } from "./cache.ts";
import { megabytes } from "./errors.ts";
import type { Attaching } from "./live.ts";
import { Operations } from "./operations.ts";
import type { Shared } from "./shared.ts";
import { WorkspaceFiles } from "./state.ts";
import { Workspace } from "./workspace.ts";

/** What must be free on the node's disk for a new machine, `bytes` */
const ROOM_BYTES = 256 * 1024 ** 2;
const REPORT_MS = 1000;
const WHOLE_REPORT_MS = 300_000;

export interface WorkspacesOptions extends Omit<Shared, "cache" | "closing" | "forgotten"> {
  /** what workspaces lie over */
  images: Images;
}

/**
 * The workspaces that this node has files of, in its reflink store: `versions/` is the cache, `workspaces/<id>/` the live
 * volumes and what is known of them.
 */
export class Workspaces {
  /** what can be done with versions */
  readonly operations: Operations;
  readonly #shared: Shared;
  readonly #root: string;
  readonly #closing = new AbortController();
  readonly #known = new Map<string, Workspace>();
  /** what the server was told last */
  readonly #reported = new Map<string, string>();
  /** when it was told of all that is here */
  #lastWhole = Number.NEGATIVE_INFINITY;
  /** the report that is on its way */
  #telling: Promise<unknown> = Promise.resolve();
  #reporting: Promise<void> = Promise.resolve();

  private constructor(options: WorkspacesOptions) {
    const cache = new VersionCache(options);
    const forgotten = (id: string) => this.#forget(id);
    this.#shared = { ...options, cache, closing: this.#closing.signal, forgotten };
    this.#root = join(options.store.path, "workspaces");
    this.operations = new Operations({ ...options, cache });
  }

  /**
   * Finds what an earlier process left: removes what it had only begun, and lets go on what it had frozen. Before anything
   * is killed or adopted: a process that waits for a frozen file system cannot be killed.
   */
  static async open(options: WorkspacesOptions): Promise<Workspaces> {
    const workspaces = new Workspaces(options);
    await workspaces.#shared.cache.open();
    await workspaces.operations.open();
    await mkdir(workspaces.#root, { recursive: true, mode: 0o700 });
    for (const id of await readdir(workspaces.#root)) await workspaces.#takeUp(id);
    return workspaces;
  }

  /**
   * Begins to tell the server how far things are, and to make durable what ended machines left; not of those in `awaited`, whose
   * machine may be up.
   */
  start(awaited: ReadonlySet<string | undefined>): void {
    for (const [id, workspace] of this.#known) if (!workspace.occupied && !awaited.has(id)) workspace.keepTrying();
    this.#reporting = this.#reportLoop();
  }

  /** Attaches the workspace of a volume for a job, see `Workspace.attach`; answers it and the path of its live volume. */
  async attach(attaching: Attaching): Promise<{ workspace: Workspace; live: string }> {
    const { org, volume } = attaching;
    if (!volume.workspace) throw new Error("a volume without a workspace is not attached");
    for (;;) {
      const workspace = this.#known.get(volume.workspace.id) ?? (await this.#begin(org, volume.workspace));
      const live = await workspace.attach(attaching);
      if (live !== undefined) return { workspace, live };
      // Its files are being removed.
      await delay(5, undefined, { signal: attaching.signal });
    }
  }

  async #begin(org: string, { id, name, fence }: NonNullable<JobVolume["workspace"]>): Promise<Workspace> {
    const files = new WorkspaceFiles(this.#root, id);
    await files.create();
    const state = { org, id, name, fence, version: null, durable_at: null, last_sync_ms: null };
    const fresh = new Workspace(this.#shared, files, state);
    this.#known.set(id, fresh);
    return fresh;
  }

  /** One that has files here. */
  find(id: string): Workspace | undefined {
    return this.#known.get(id);
  }

  /** Live volumes on this node. */
  copies(): { id: string; name: string; fence: number }[] {
    return [...this.#known.values()].filter(({ live }) => live).map(({ id, name, fence }) => ({ id, name, fence }));
  }

  /** Asks the server anew which of them are this node's; those that are not go. */
  async reportAll(): Promise<void> {
    this.#lastWhole = Number.NEGATIVE_INFINITY;
    await this.report();
  }

  /** A disk that starts from a version and keeps nothing. */
  discarded({ org, volume, log, signal }: Attaching): Disk {
    const { cache, store } = this.#shared;
    const { version, disk_gb } = volume;
    if (!version) throw new Error("a disk that keeps nothing needs a version to start from");
    const make = async (path: string) => {
      let told = false;
      const onProgress = ({ total }: { total: number }) => {
        if (!told) log(`fetching version ${version.number} of the base, ${megabytes(total)}`);
        told = true;
      };
      const image = await cache.image({ org, version, signal, onProgress });
      store.clone(image.path, path);
      await fit(store, path, disk_gb);
    };
    return { make };
  }

  /** Throws StoreFull when the node's disk has no room for another machine, even without the versions kept here. */
  room(): Promise<void> {
    return this.#shared.cache.room(ROOM_BYTES);
  }

  /**
   * Tells the server now what it does not know yet. One report at a time: two on their way could overtake each other, and what
   * was true before would be heard last. Throws what the call throws.
   */
  report(): Promise<void> {
    const told = this.#telling.catch(() => undefined).then(() => this.#report());
    this.#telling = told;
    return told;
  }

  async #report(): Promise<void> {
    // At first, and from time to time: so copies of what was deleted, or went on elsewhere, are not kept, and nothing counts as
    // not durable that is not here.
    const all = performance.now() - this.#lastWhole > WHOLE_REPORT_MS;
    const told = [...this.#known.values()]
      .map((workspace) => workspace.progress())
      .filter((progress) => all || this.#reported.get(progress.id) !== JSON.stringify(progress));
    if (told.length === 0 && !all) return;
    const { lost, raised } = await this.#shared.controlPlane.reportWorkspaces(told, all);
    if (all) this.#lastWhole = performance.now();
    for (const progress of told) this.#reported.set(progress.id, JSON.stringify(progress));
    for (const { id, fence } of raised) this.#known.get(id)?.raise(fence);
    for (const id of lost) await this.#known.get(id)?.drop("it was given to another or deleted");
  }

  /** Machines go on; what is not durable stays for the next agent process. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#known.values()].map((workspace) => workspace.close()));
    await this.#reporting;
  }

  async #takeUp(id: string): Promise<void> {
    const files = new WorkspaceFiles(this.#root, id);
    const state = files.state();
    if (!state) return files.remove();
    await files.create();
    for (const name of await readdir(files.dir))
      if (name.endsWith(PARTIAL) || name.endsWith(".new")) await rm(join(files.dir, name), { force: true });
    await rm(files.making, { force: true });
    if (!files.commit()) await rm(files.taken, { force: true });
    if (existsSync(files.live) && loopOf(files.live) && thawLeftoverImage(files.live, files.scratch))
      this.#shared.logger.warn({ workspace: id }, "a workspace was frozen by an earlier process; it goes on");
    this.#known.set(id, new Workspace(this.#shared, files, state));
  }

  #forget(id: string): void {
    this.#known.delete(id);
    this.#reported.delete(id);
    // Nobody would ever tell of it again.
    this.#lastWhole = Number.NEGATIVE_INFINITY;
  }

  async #reportLoop(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      await this.report().catch((error) =>
        this.#shared.logger.debug({ err: error }, "telling the server about workspaces failed"),
      );
      await delay(REPORT_MS, undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }
}
