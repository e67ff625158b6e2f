import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import type { JobVolume, VersionRef } from "@mags/protocol";
import { fit } from "@mags/storage";
import { megabytes } from "./errors.ts";
import type { Shared } from "./shared.ts";
import type { WorkspaceFiles, WorkspaceState } from "./state.ts";

/** For whom a live volume is made. */
export interface Attaching {
  org: string;
  volume: JobVolume;
  /** a line for people */
  log(line: string): void;
  signal: AbortSignal;
}

/**
 * The live volume of a workspace, and what this node knows of it. While it is there, the version that the next sync
 * compares it with is not evicted.
 */
export class LiveVolume {
  readonly files: WorkspaceFiles;
  readonly #shared: Shared;
  #state: WorkspaceState;
  #there: boolean;
  #release: () => void = () => undefined;
  /** made by a sync here: of no use when the next has been made */
  #superseded: VersionRef | undefined;

  constructor(shared: Shared, files: WorkspaceFiles, state: WorkspaceState) {
    this.#shared = shared;
    this.files = files;
    this.#state = state;
    this.#there = existsSync(files.live);
    this.#hold();
  }

  get there() {
    return this.#there;
  }
  get state() {
    return this.#state;
  }

  /**
   * Goes on with the one that is here when it belongs to the version that the job starts from; answers "kept". Else makes a
   * copy of that version; "made". Throws VersionError, ObjectError or StoreFull; then what was here still is.
   */
  async attach(attaching: Attaching): Promise<"kept" | "made"> {
    const { org, volume } = attaching;
    const { workspace, version, disk_gb } = volume;
    if (!workspace) throw new Error("a volume without a workspace is not attached");
    this.#resolveCommit(version);
    const { unwritten: _, ...before } = this.#state;
    const state = { ...before, org, name: workspace.name, fence: workspace.fence };
    const kept = this.#there && this.#belongsTo(volume);
    if (kept) this.write(state);
    else {
      await this.#make(attaching);
      // In this order: a live volume and a state that do not belong together must never be found.
      await this.remove();
      this.write({ ...state, version, durable_at: version ? state.durable_at : null });
      await rename(this.files.making, this.files.live);
      this.#there = true;
      this.#hold();
    }
    await fit(this.#shared.store, this.files.live, disk_gb);
    return kept ? "kept" : "made";
  }

  /** What is here goes on under a higher fence, also a commit whose answer is not known. */
  raise(fence: number): void {
    if (fence <= this.#state.fence) return;
    this.write({ ...this.#state, fence });
    const commit = this.files.commit();
    if (commit) this.files.writeCommit({ ...commit, fence });
  }

  /** Notes a new version of it. */
  committed(version: VersionRef): void {
    const before = this.#superseded;
    this.#superseded = version;
    this.write({ ...this.#state, version });
    if (before) void this.#shared.cache.drop(before);
  }

  write(state: WorkspaceState): void {
    this.#state = state;
    this.files.writeState(state);
    this.#hold();
  }

  /** What changes often and may be lost with this process. */
  note(facts: Partial<Pick<WorkspaceState, "durable_at" | "last_sync_ms" | "unwritten">>): void {
    Object.assign(this.#state, facts);
  }

  async remove(): Promise<void> {
    await rm(this.files.live, { force: true });
    this.#there = false;
    this.#release();
  }

  /** Nothing of the workspace stays on this node. */
  async forget(): Promise<void> {
    const { version } = this.#state;
    await this.remove();
    await this.files.remove();
    if (version) await this.#shared.cache.drop(version);
    this.#shared.forgotten(this.#state.id);
  }

  /**
   * Without a version of its own the workspace is what this node has not made durable yet, whatever the next job would
   * start from.
   */
  #belongsTo({ version, source, dirty }: JobVolume): boolean {
    return this.#state.version?.id === version?.id || (dirty && source !== "latest");
  }

  /** What became of a commit whose answer never came, as the server's word now shows. */
  #resolveCommit(latest: VersionRef | null): void {
    const commit = this.files.commit();
    if (!commit) return;
    if (latest && latest.manifest === commit.manifest_name && latest.id !== this.#state.version?.id)
      this.write({ ...this.#state, version: latest });
    this.files.writeCommit(undefined);
  }

  async #make({ org, volume, log, signal }: Attaching): Promise<void> {
    const { cache, store, templates } = this.#shared;
    const { version, disk_gb, workspace } = volume;
    await rm(this.files.making, { force: true });
    if (!version) return templates.create(this.files.making, disk_gb, "journaled");
    let told = false;
    const started = performance.now();
    const onProgress = ({ total }: { total: number }) => {
      if (!told) log(`workspace ${workspace?.name}: fetching version ${version.number}, ${megabytes(total)}`);
      told = true;
    };
    const image = await cache.image({ org, version, near: this.#state.version, signal, onProgress });
    const took = Math.round(performance.now() - started);
    if (told) log(`workspace ${workspace?.name}: version ${version.number} is here, in ${took} ms`);
    store.clone(image.path, this.files.making);
  }

  #hold(): void {
    const release = this.#release;
    const { version } = this.#state;
    this.#release = version && this.#there ? this.#shared.cache.hold(version) : () => undefined;
    release();
  }
}
