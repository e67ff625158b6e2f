import { setTimeout as delay } from "node:timers/promises";
import type { ReportWorkspaces, Synced, VersionReason, WorkspacesReported } from "@mags/protocol";
import { resize } from "@mags/storage";
import { Fenced } from "../control-plane.ts";
import { megabytes, NotDurable, WorkspaceLost } from "./errors.ts";
import { type Attaching, LiveVolume } from "./live.ts";
import type { Occupant, Shared } from "./shared.ts";
import type { WorkspaceFiles, WorkspaceState } from "./state.ts";
import { Sync } from "./sync.ts";
import { bytesWritten } from "./written.ts";

/** Fields that a refusal names when what is here is of no use any more. */
const TAKEN_AWAY = ["parent", "workspace"];
const INTERVAL_MS = 30_000;
/** Pauses between two tries of a sync that failed, `ms`. */
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [500, 60_000];
const SOON_PAUSE_MS = 5000;

/** What the kernel says when the disk has not taken what was written to a mounted volume; said once, and not again. */
const isLoss = ({ message }: Error): boolean => /^(syncfs|E(NOSPC|IO): .*, fdatasync)/.test(message);

const UNKNOWN: WorkspacesReported = { lost: [], raised: [] };

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
  readonly #live: LiveVolume;
  #occupant: Occupant | undefined;
  #interval: NodeJS.Timeout | undefined;
  #running: Promise<Synced> | undefined;
  #queued: Promise<Synced> | undefined;
  /** gives up the sync that runs */
  #abort = new AbortController();
  #givingUp = false;
  #retrying: Promise<void> | undefined;
  /** nothing was written since the last sync, and nobody is there to do it */
  #settled = false;
  #untouched = false;
  #lost: string | undefined;
  #error: string | undefined;
  #writtenBefore = 0;
  #pendingBytes = 0;

  constructor(shared: Shared, files: WorkspaceFiles, state: WorkspaceState) {
    this.#shared = shared;
    this.#live = new LiveVolume(shared, files, state);
  }

  get id() {
    return this.#live.state.id;
  }
  get name() {
    return this.#live.state.name;
  }
  get fence() {
    return this.#live.state.fence;
  }
  /** the last version of it that this node knows */
  get version() {
    return this.#live.state.version;
  }
  /** file of its live volume */
  get volume() {
    return this.#live.files.live;
  }
  /** the live volume is a copy of that version, which no machine has had yet */
  get untouched() {
    return this.#untouched;
  }
  /** its live volume is here */
  get live() {
    return this.#live.there;
  }
  /** why some of what its machine has written is missing for good */
  get unwritten() {
    return this.#live.state.unwritten;
  }
  get occupied() {
    return this.#occupant !== undefined;
  }
  /** something of it may be on this node alone */
  get dirty() {
    return this.#live.there && !this.#settled;
  }

  /**
   * Makes the live volume ready for a machine, see `LiveVolume.attach`. Answers its path, or undefined when all that was
   * here of the workspace has just been forgotten.
   */
  async attach(attaching: Attaching): Promise<string | undefined> {
    // The machine of the job before is being removed.
    while (this.#occupant) await delay(5, undefined, { signal: attaching.signal });
    await this.#giveUpSync();
    if (this.#lost) return undefined;
    const wasDirty = this.dirty;
    try {
      const how = await this.#live.attach(attaching);
      if (wasDirty && how === "kept")
        attaching.log(`workspace ${this.name}: goes on with what this node had not made durable yet`);
      this.#untouched = how === "made";
      this.#settled = false;
      return this.#live.files.live;
    } catch (error) {
      this.keepTrying();
      throw error;
    }
  }

  /** Nothing came of the machine that it was attached for. */
  async detach(): Promise<void> {
    if (this.#untouched) await this.#live.remove();
    else this.keepTrying();
  }

  /** A machine is up on the live volume, or was adopted. */
  occupy(occupant: Occupant): void {
    this.#occupant = occupant;
    this.#settled = false;
    this.#untouched = false;
    // The device counts on from whatever it was used for before.
    this.#writtenBefore = occupant.mountedAt === undefined ? 0 : bytesWritten(occupant.mountedAt);
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
    try {
      if (this.#lost) await this.#live.forget();
      else if (this.#settled) await this.#live.remove();
    } finally {
      // Last: from here on another job may have it.
      this.#occupant = undefined;
      this.keepTrying();
    }
  }

  /** Goes on, in the background, until what an ended machine left is durable. */
  keepTrying(): void {
    this.#retrying ??= this.#retry().finally(() => {
      this.#retrying = undefined;
    });
  }

  /** The workspace was given to this node again, for a job that has not attached it. */
  raise(fence: number): void {
    this.#live.raise(fence);
  }

  /** The server has given the workspace to another, or it was deleted. */
  async drop(reason: string): Promise<void> {
    if (this.#lost) return;
    this.#lose(reason);
    await this.#giveUpSync();
    if (!this.#occupant) await this.#live.forget();
  }

  /** Gives the disk of the machine that is up more space. Throws VersionError `invalid` for less. */
  async resize(diskGb: number): Promise<void> {
    const { mountedAt, inside } = this.#occupant ?? {};
    const how = await resize(this.#shared.store, this.#live.files.live, diskGb, mountedAt ?? inside);
    const when = how === "grown" ? "has" : `has, from the next machine on (${how}),`;
    this.#occupant?.log(`workspace ${this.name}: the disk ${when} ${diskGb} GiB`);
  }

  progress(): Progress {
    const { id, fence, durable_at, last_sync_ms } = this.#live.state;
    const mountedAt = this.#occupant?.mountedAt;
    if (mountedAt !== undefined) this.#pendingBytes = Math.max(0, bytesWritten(mountedAt) - this.#writtenBefore);
    const { dirty } = this;
    const pending_bytes = dirty ? this.#pendingBytes : 0;
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
    const { name, fence } = this.#live.state;
    const signal = AbortSignal.any([this.#abort.signal, this.#shared.closing]);
    const [at, started] = [new Date().toISOString(), performance.now()];
    try {
      if (this.#lost) throw new WorkspaceLost(`workspace ${name}: ${this.#lost}`);
      signal.throwIfAborted();
      const sync = new Sync(this.#shared, this.#live, this.#occupant, reason, signal);
      const made = await sync.run({
        taken: (written) => {
          this.#writtenBefore = written;
        },
        unwritten: (why) => this.#noteUnwritten(why),
        committed: (version) => this.#live.committed(version),
      });
      const sync_ms = performance.now() - started;
      this.#live.note({ durable_at: at, ...(made && { last_sync_ms: sync_ms }) });
      this.#succeeded(made && { ...made, sync_ms });
      return { version: this.#live.state.version, durable_at: at, sync_ms, new_bytes: made?.newBytes ?? 0 };
    } catch (error) {
      throw await this.#failed(error as Error, fence);
    }
  }

  #succeeded(made: { newBytes: number; sync_ms: number } | undefined): void {
    const { name, version } = this.#live.state;
    const again = this.#error === undefined ? "" : ", after failures";
    this.#error = undefined;
    this.#pendingBytes = 0;
    if (!made) return;
    const line = `version ${version?.number} durable in ${Math.round(made.sync_ms)} ms, ${megabytes(made.newBytes)} new${again}`;
    this.#occupant?.log(`workspace ${name}: ${line}`);
  }

  async #failed(error: Error, fence: number): Promise<Error> {
    if (error instanceof WorkspaceLost) return error;
    const current = fence === this.#live.state.fence;
    if (error instanceof Fenced && current && (await this.#isTakenAway(error))) {
      this.#lose(`it was given to another or deleted (${error.message})`);
      if (!this.#occupant) await this.#live.forget();
      return new WorkspaceLost(`workspace ${this.name}: ${this.#lost}`);
    }
    if (isLoss(error)) this.#noteUnwritten(error.message);
    const message = this.#notDurable(error.message);
    if (!this.#shared.closing.aborted && !this.#abort.signal.aborted) {
      if (this.#error !== error.message) this.#occupant?.log(message);
      this.#shared.logger.warn({ err: error, workspace: this.id }, "a workspace could not be made durable");
      this.#error = error.message;
    }
    return new NotDurable(message, { cause: error });
  }

  /** Of what a machine has written there is one chance to write it out; what comes after does not make up for it. */
  #noteUnwritten(why: string): void {
    this.#live.note({ unwritten: `some of what was written in workspace ${this.name} may be missing: ${why}` });
  }

  /** A higher fence may be that of a job of this very node, which has not come as far as this: then it is raised. */
  async #isTakenAway(error: Fenced): Promise<boolean> {
    if (error.field !== "fence") return TAKEN_AWAY.includes(error.field ?? "");
    const { controlPlane } = this.#shared;
    const { lost, raised } = await controlPlane.reportWorkspaces([this.progress()], false).catch(() => UNKNOWN);
    for (const { fence } of raised) this.raise(fence);
    return lost.length > 0;
  }

  #notDurable(why: string): string {
    const { name, durable_at } = this.#live.state;
    const since =
      durable_at === null ? "nothing of it is durable" : `what was written since ${durable_at} is not durable`;
    return `workspace ${name}: ${since}: ${why}`;
  }

  #lose(reason: string): void {
    if (this.#lost !== undefined) return;
    this.#lost = reason;
    this.#shared.logger.warn({ workspace: this.id, reason }, "a workspace is no longer this node's");
    this.#occupant?.lost(reason);
  }

  async #retry(): Promise<void> {
    for (let pause = FIRST_PAUSE_MS; this.#tries(); pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        await this.sync("completion");
        if (!this.#tries()) return;
        this.#settled = true;
        return await this.#live.remove();
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

  async #within<T>(promise: Promise<T>, deadline: number): Promise<T> {
    const late = new AbortController();
    const timer = delay(Math.max(0, deadline - Date.now()), undefined, { signal: late.signal }).then(() => {
      throw new NotDurable(this.#notDurable(this.#error ?? "it takes longer than that"));
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
