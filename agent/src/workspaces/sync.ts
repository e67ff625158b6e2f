import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { loopOf, unmount } from "@mags/kit";
import type { VersionReason, VersionRef } from "@mags/protocol";
import { hasChanged, type KnownVersion, mend, mountVolume, snapshot, type Upload, upload } from "@mags/storage";
import { Fenced } from "../control-plane.ts";
import { chunkIndex, uploaded } from "./chunk-index.ts";
import type { LiveVolume } from "./live.ts";
import type { Occupant, Shared } from "./shared.ts";
import type { PendingCommit } from "./state.ts";
import { bytesWritten } from "./written.ts";

const COMMIT_TRIES = 3;

/** What the workspace has to know while a sync runs. */
export interface SyncSteps {
  /** the snapshot is taken; so much had been written to the volume's device by then */
  taken(written: number): void;
  /** some of what was written has not reached the disk */
  unwritten(why: string): void;
  /** the workspace has a new version */
  committed(version: VersionRef): void;
}

/**
 * One sync of a live volume: snapshot, upload, commit. It may be cut off anywhere: before the commit is written down
 * nothing has happened, and a commit that is written down is sent again, word for word, by the next sync.
 */
export class Sync {
  readonly #shared: Shared;
  readonly #live: LiveVolume;
  readonly #occupant: Occupant | undefined;
  readonly #reason: VersionReason;
  readonly #signal: AbortSignal;

  constructor(
    shared: Shared,
    live: LiveVolume,
    occupant: Occupant | undefined,
    reason: VersionReason,
    signal: AbortSignal,
  ) {
    [this.#shared, this.#live, this.#occupant] = [shared, live, occupant];
    [this.#reason, this.#signal] = [reason, signal];
  }

  /** Answers what was made, or undefined when there was nothing new. */
  async run(steps: SyncSteps): Promise<{ newBytes: number } | undefined> {
    await this.#repeatCommit(steps);
    const parent = await this.#parent();
    if (await this.#unchanged(parent)) return undefined;
    const started = performance.now();
    await rm(this.#live.files.taken, { force: true });
    steps.taken(await this.#take(steps));
    for (let tries = 1; ; tries++) {
      // Chunks that were collected meanwhile may be the parent's, too: then nothing is taken from it.
      const made = await this.#upload(tries === 1 ? parent : undefined);
      if (!made) {
        await rm(this.#live.files.taken, { force: true });
        return undefined;
      }
      try {
        await this.#commit(this.#describe(made, performance.now() - started), steps);
        return made;
      } catch (error) {
        if (!isGone(error) || tries === COMMIT_TRIES) throw error;
        this.#live.files.writeCommit(undefined);
      }
    }
  }

  async #repeatCommit(steps: SyncSteps): Promise<void> {
    const commit = this.#live.files.commit();
    if (!commit) return;
    try {
      await this.#commit(commit, steps);
    } catch (error) {
      if (!isGone(error)) throw error;
      // Then it never became a version.
      this.#live.files.writeCommit(undefined);
    }
  }

  async #parent(): Promise<KnownVersion | undefined> {
    const { org, version } = this.#live.state;
    return version ? this.#shared.cache.known(org, version, this.#signal) : undefined;
  }

  /** The machine, as long as it has the disk mounted: one that was killed has left it whole. */
  get #inside() {
    const inside = this.#occupant?.inside;
    return inside?.isRunning() ? inside : undefined;
  }

  async #unchanged(parent: KnownVersion | undefined): Promise<boolean> {
    const mountedAt = this.#occupant?.mountedAt;
    const inside = this.#inside;
    if (parent?.path === undefined || (mountedAt === undefined && !inside?.flush)) return false;
    if (mountedAt === undefined) await inside?.flush?.();
    return !(await hasChanged(this.#live.files.live, mountedAt, parent.path));
  }

  /** Takes the snapshot; answers how much had been written by then. */
  async #take(steps: SyncSteps): Promise<number> {
    const { store } = this.#shared;
    const { live, taken, scratch } = this.#live.files;
    const mountedAt = this.#occupant?.mountedAt;
    const inside = this.#inside;
    if (inside?.whileFrozen) {
      await inside.whileFrozen(() => store.clone(live, taken));
      return (await inside.stats()).written_bytes;
    }
    if (mountedAt !== undefined) {
      await this.#takeMounted(mountedAt, steps);
      return bytesWritten(mountedAt);
    }
    if (!loopOf(live)) {
      await snapshot(store, live, undefined, taken);
      // What cannot be mended is what there is.
      const mended = await mend(taken).catch(() => undefined);
      if (mended !== undefined) steps.unwritten(`the file system was damaged, and is mended: ${mended}`);
      return 0;
    }
    // The machine is gone, but what it wrote may still be on its way to the file.
    mountVolume(live, scratch);
    try {
      await this.#takeMounted(scratch, steps);
    } finally {
      unmount(scratch);
    }
    return 0;
  }

  async #takeMounted(mountedAt: string, steps: SyncSteps): Promise<void> {
    const { live, taken } = this.#live.files;
    const { damaged } = await snapshot(this.#shared.store, live, mountedAt, taken);
    if (damaged !== undefined) steps.unwritten(damaged);
  }

  async #upload(parent: KnownVersion | undefined): Promise<Upload | undefined> {
    const { controlPlane, objects } = this.#shared;
    const context = { objects, org: this.#live.state.org, signal: this.#signal };
    const index = chunkIndex(controlPlane, context.org, this.#signal);
    return upload(this.#live.files.taken, parent, index, context);
  }

  #describe(made: Upload, sync_ms: number): PendingCommit {
    const { org, id, fence, version } = this.#live.state;
    return {
      org,
      workspace: id,
      fence,
      job: this.#occupant?.job ?? null,
      parent: version?.id ?? null,
      reason: this.#reason,
      ...uploaded(made),
      sync_ms,
    };
  }

  async #commit(commit: PendingCommit, steps: SyncSteps): Promise<void> {
    this.#live.files.writeCommit(commit);
    const { version } = await this.#shared.controlPlane.commitVersion(commit, this.#signal);
    await this.#keep(commit);
    steps.committed(version);
    this.#live.files.writeCommit(undefined);
  }

  async #keep(commit: PendingCommit): Promise<void> {
    const { manifest, manifest_name: name } = commit;
    // Not there when an earlier process came as far as this.
    if (existsSync(this.#live.files.taken))
      await this.#shared.cache.add(this.#live.files.taken, { file: Buffer.from(manifest, "base64"), name });
  }
}

const isGone = (error: unknown): boolean => error instanceof Fenced && error.code === "chunks_gone";
