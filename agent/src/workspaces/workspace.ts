import { existsSync } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { JobVolume, ReportWorkspaces, Synced, VersionReason } from "@mags/protocol";
import { resize } from "@mags/storage";
import { Fenced } from "../control-plane.ts";
import { megabytes, NotDurable, WorkspaceLost } from "./errors.ts";
import type { Occupant, Shared } from "./shared.ts";
import type { WorkspaceFiles, WorkspaceState } from "./state.ts";
import { Sync } from "./sync.ts";
import { bytesWritten } from "./written.ts";

/** Fields that a refusal names when the workspace is no longer this node's. */
const TAKEN_AWAY = ["fence", "parent", "workspace"];
const INTERVAL_MS = 30_000;
/** Pauses between two tries of a sync that failed, `ms`. */
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [500, 60_000];
const SOON_PAUSE_MS = 5000;

export type Progress = ReportWorkspaces["workspaces"][number];

/**
 * One workspace on this node.
 *
 * It rests while it has no live volume: then all of it is durable, and nothing but cached versions is here. A job that is
 * given it attaches it, which makes the live volume; a machine then occupies it. Its syncs run one at a time: a request
 * that comes while one runs starts another after it, because what was written since is not in the first. When the machine
 * is gone and the last sync has failed it is dirty: it stays, and is tried again for ever. It leaves these states only when
 * everything is durable, or when the server says that it is another's.
 */
export class Workspace {
  readonly #shared: Shared;
  readonly #files: WorkspaceFiles;
  #state: WorkspaceState;
  #occupant: Occupant | undefined;
  #interval: NodeJS.Timeout | undefined;
  #running: Promise<Synced> | undefined;
  #queued: Promise<Synced> | undefined;
  /** gives up the sync that runs */
  #abort = new AbortController();
  #retrying: Promise<void> | undefined;
  /** nothing was written since the last sync, and nobody is there to do it */
  #settled = false;
  #givingUp = false;
  /** the live volume is a copy that no machine has had yet */
  #untouched = false;
  #lost: string | undefined;
  #error: string | undefined;
  #writtenBefore = 0;
  #pendingBytes = 0;
  #release: () => void = () => undefined;

  constructor(shared: Shared, files: WorkspaceFiles, state: WorkspaceState) {
    this.#shared = shared;
    this.#files = files;
    this.#state = state;
    this.#hold();
  }

  get id() {
    return this.#state.id;
  }
  get name() {
    return this.#state.name;
  }
  get occupied() {
    return this.#occupant !== undefined;
  }
  /** something of it may be on this node alone */
  get dirty() {
    return existsSync(this.#files.live) && !this.#settled;
  }

  /**
   * Makes the live volume for a job: the one that is here when it goes on from the same version, else a copy of that
   * version. Answers its path, or undefined when all that was here of it has just been forgotten. Throws VersionError,
   * ObjectError or StoreFull; then nothing has changed.
   */
  async attach(
    org: string,
    volume: JobVolume,
    log: (line: string) => void,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { workspace, version, disk_gb } = volume;
    if (!workspace) throw new Error("a volume without a workspace is not attached");
    // The machine of the job before is being removed.
    while (this.#occupant) await delay(5, undefined, { signal });
    await this.#giveUpSync();
    if (this.#lost) return undefined;
    this.#resolveCommit(volume);
    const before = this.#state;
    const state = { ...before, org, name: workspace.name, fence: workspace.fence };
    if (existsSync(this.#files.live) && before.version?.id === version?.id) {
      if (this.dirty) log(`workspace ${workspace.name}: goes on with what this node had not made durable yet`);
      this.#write(state);
      this.#untouched = false;
    } else {
      await rm(this.#files.making, { force: true });
      await this.#make(org, volume, before, log, signal);
      // In this order: a live volume and a state that do not belong together must never be found.
      await rm(this.#files.live, { force: true });
      this.#write({ ...state, version, durable_at: version ? state.durable_at : null });
      await rename(this.#files.making, this.#files.live);
      this.#untouched = true;
    }
    this.#settled = false;
    await this.#grow(disk_gb);
    return this.#files.live;
  }

  /** Nothing came of the machine that it was attached for. */
  async detach(): Promise<void> {
    if (this.#untouched) await rm(this.#files.live, { force: true });
    else this.keepTrying();
  }

  /** A machine is up on the live volume, or was adopted. */
  occupy(occupant: Occupant): void {
    this.#occupant = occupant;
    this.#settled = false;
    this.#writtenBefore = 0;
    if (!occupant.persistent) return;
    this.#interval = setInterval(() => void this.sync("interval").catch(() => undefined), INTERVAL_MS);
    this.#interval.unref();
  }

  /** Resolves when everything written before the call is durable. Throws NotDurable or WorkspaceLost. */
  sync(reason: VersionReason): Promise<Synced> {
    if (!this.#running) return this.#start(reason);
    this.#queued ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#queued = undefined;
        return this.#start(reason);
      });
    return this.#queued;
  }

  /** Syncs after the machine's last process has ended, for at most `ms`. Throws NotDurable or WorkspaceLost. */
  async settle(reason: VersionReason, ms: number): Promise<void> {
    const deadline = Date.now() + ms;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, SOON_PAUSE_MS)) {
      try {
        await this.#within(this.sync(reason), deadline);
        this.#settled = true;
        return;
      } catch (error) {
        const over = Date.now() + pause >= deadline || this.#shared.closing.aborted;
        if (error instanceof WorkspaceLost || over) throw error;
        await this.#pause(pause);
      }
    }
  }

  /** The machine is gone. What is not durable stays and is tried again. */
  async vacate(): Promise<void> {
    clearInterval(this.#interval);
    if (this.#lost) await this.#forget();
    else if (this.#settled) await rm(this.#files.live, { force: true });
    // Last: from here on another job may have it.
    this.#occupant = undefined;
    this.keepTrying();
  }

  /** Goes on, in the background, until what an ended machine left is durable. */
  keepTrying(): void {
    this.#retrying ??= this.#retry().finally(() => {
      this.#retrying = undefined;
    });
  }

  /** The server has given the workspace to another, or it was deleted. */
  async drop(reason: string): Promise<void> {
    if (this.#lost) return;
    this.#lost = reason;
    this.#shared.logger.warn({ workspace: this.id, reason }, "a workspace is no longer this node's");
    this.#abort.abort();
    this.#occupant?.lost(reason);
    if (!this.#occupant) await this.#forget();
  }

  /** Gives the disk of the machine that is up more space. Throws VersionError `invalid` for less. */
  async resize(diskGb: number): Promise<void> {
    await resize(this.#shared.store, this.#files.live, diskGb, this.#occupant?.mountedAt);
  }

  progress(): Progress {
    const { id, fence, durable_at, last_sync_ms } = this.#state;
    const mountedAt = this.#occupant?.mountedAt;
    if (mountedAt !== undefined) this.#pendingBytes = Math.max(0, bytesWritten(mountedAt) - this.#writtenBefore);
    const pending_bytes = this.dirty ? this.#pendingBytes : 0;
    const dirty = this.dirty && (!this.#occupant || pending_bytes > 0);
    return { id, fence, pending_bytes, dirty, durable_at, last_sync_ms, error: this.#error ?? null };
  }

  /** Ends what runs in the background and leaves everything for the next agent process. */
  async close(): Promise<void> {
    clearInterval(this.#interval);
    await this.#giveUpSync();
    await this.#retrying;
  }

  #start(reason: VersionReason): Promise<Synced> {
    this.#running = this.#syncOnce(reason).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #syncOnce(reason: VersionReason): Promise<Synced> {
    const { name, fence } = this.#state;
    const signal = AbortSignal.any([this.#abort.signal, this.#shared.closing]);
    const [at, started] = [new Date().toISOString(), performance.now()];
    try {
      if (this.#lost) throw new WorkspaceLost(`workspace ${name}: ${this.#lost}`);
      signal.throwIfAborted();
      const sync = new Sync(this.#shared, this.#files, this.#state, this.#occupant, reason, signal);
      const made = await sync.run({
        taken: (written) => {
          this.#writtenBefore = written;
        },
        committed: (version) => this.#write({ ...this.#state, version }),
      });
      const sync_ms = performance.now() - started;
      Object.assign(this.#state, { durable_at: at, ...(made && { last_sync_ms: sync_ms }) });
      this.#succeeded(made && { ...made, sync_ms });
      return { version: this.#state.version, durable_at: at, sync_ms, new_bytes: made?.newBytes ?? 0 };
    } catch (error) {
      throw await this.#failed(error as Error, fence);
    }
  }

  #succeeded(made: { newBytes: number; sync_ms: number } | undefined): void {
    const { name, version } = this.#state;
    const again = this.#error === undefined ? "" : ", after failures";
    this.#error = undefined;
    this.#pendingBytes = 0;
    if (!made) return;
    const line = `version ${version?.number} durable in ${Math.round(made.sync_ms)} ms, ${megabytes(made.newBytes)} new${again}`;
    this.#occupant?.log(`workspace ${name}: ${line}`);
  }

  async #failed(error: Error, fence: number): Promise<Error> {
    const { name, durable_at } = this.#state;
    if (error instanceof WorkspaceLost) return error;
    const current = fence === this.#state.fence;
    if (error instanceof Fenced && TAKEN_AWAY.includes(error.field ?? "") && current) {
      await this.drop(`it was given to another or deleted (${error.message})`);
      return new WorkspaceLost(`workspace ${name}: ${this.#lost}`);
    }
    const since =
      durable_at === null ? "nothing of it is durable" : `what was written since ${durable_at} is not durable`;
    const message = `workspace ${name}: ${since}: ${error.message}`;
    if (!this.#shared.closing.aborted && !this.#abort.signal.aborted) {
      if (this.#error !== error.message) this.#occupant?.log(message);
      this.#shared.logger.warn({ err: error, workspace: this.id }, "a workspace could not be made durable");
      this.#error = error.message;
    }
    return new NotDurable(message, { cause: error });
  }

  async #retry(): Promise<void> {
    for (let pause = FIRST_PAUSE_MS; this.#tries(); pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        await this.sync("completion");
        if (!this.#tries()) return;
        this.#settled = true;
        await rm(this.#files.live, { force: true });
        return;
      } catch {
        if (this.#tries()) await this.#pause(pause);
      }
    }
  }

  #tries(): boolean {
    return !this.#shared.closing.aborted && !this.#occupant && !this.#lost && this.dirty && !this.#givingUp;
  }

  /** Whatever is under way ends, and is as if the process had been killed then. */
  async #giveUpSync(): Promise<void> {
    this.#givingUp = true;
    this.#abort.abort();
    await this.#queued?.catch(() => undefined);
    await this.#running?.catch(() => undefined);
    await this.#retrying;
    this.#abort = new AbortController();
    this.#givingUp = false;
  }

  /** What became of a commit whose answer never came, as the server's word now shows. */
  #resolveCommit({ version }: JobVolume): void {
    const commit = this.#files.commit();
    if (!commit) return;
    if (version && version.manifest === commit.manifest_name && version.id !== this.#state.version?.id)
      this.#write({ ...this.#state, version });
    this.#files.writeCommit(undefined);
  }

  async #make(
    org: string,
    { version, disk_gb, workspace }: JobVolume,
    before: WorkspaceState,
    log: (line: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { cache, store, templates } = this.#shared;
    if (!version) return templates.create(this.#files.making, disk_gb, "journaled");
    let told = false;
    const started = performance.now();
    const onProgress = ({ total }: { total: number }) => {
      if (!told) log(`workspace ${workspace?.name}: fetching version ${version.number}, ${megabytes(total)}`);
      told = true;
    };
    const image = await cache.image({ org, version, near: before.version, signal, onProgress });
    const took = Math.round(performance.now() - started);
    if (told) log(`workspace ${workspace?.name}: version ${version.number} is here, in ${took} ms`);
    store.clone(image.path, this.#files.making);
  }

  async #grow(diskGb: number): Promise<void> {
    const { size } = await stat(this.#files.live);
    if (diskGb * 1024 ** 3 > size) await resize(this.#shared.store, this.#files.live, diskGb, undefined);
  }

  async #forget(): Promise<void> {
    await this.#running?.catch(() => undefined);
    this.#release();
    await this.#files.remove();
    this.#shared.forgotten(this.id);
  }

  #write(state: WorkspaceState): void {
    this.#state = state;
    this.#files.writeState(state);
    this.#hold();
  }

  /** The version that the next sync compares with is not evicted. */
  #hold(): void {
    const release = this.#release;
    const { version } = this.#state;
    this.#release = version ? this.#shared.cache.hold(version) : () => undefined;
    release();
  }

  async #within<T>(promise: Promise<T>, deadline: number): Promise<T> {
    const late = new AbortController();
    const timer = delay(Math.max(0, deadline - Date.now()), undefined, { signal: late.signal }).then(() => {
      throw new NotDurable(`workspace ${this.name}: ${this.#error ?? "it takes longer than that"}`);
    });
    timer.catch(() => undefined);
    try {
      return await Promise.race([promise, timer]);
    } finally {
      late.abort();
    }
  }

  #pause(ms: number): Promise<void> {
    const signal = AbortSignal.any([this.#shared.closing, this.#abort.signal]);
    return delay(ms, undefined, { signal }).catch(() => undefined);
  }
}
