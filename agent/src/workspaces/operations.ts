import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { VersionRef, VersionVerified } from "@mags/protocol";
import { drill, fetchManifest, type ObjectStore } from "@mags/storage";
import type { VersionCache } from "./cache.ts";

/** What can be done with a version on any node; its workspace is not touched. */
export class Operations {
  readonly #objects: ObjectStore;
  readonly #cache: VersionCache;
  readonly #dir: string;

  /** `dir` is for scratch files, in the store of volumes. */
  constructor(objects: ObjectStore, cache: VersionCache, dir: string) {
    [this.#objects, this.#cache, this.#dir] = [objects, cache, dir];
  }

  /** Removes what an earlier process left. */
  async open(): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#dir)) await rm(join(this.#dir, name), { recursive: true, force: true });
  }

  /** A restore drill, from the object store alone. Throws ObjectError, StoreFull, or VersionError for a bad manifest. */
  async verify(org: string, version: VersionRef, signal: AbortSignal): Promise<VersionVerified> {
    const started = performance.now();
    const context = { objects: this.#objects, org, signal };
    const manifest = await fetchManifest(version.manifest, context);
    await this.#cache.room(manifest.chunks.length * manifest.chunk_bytes);
    const { ok, verification, fsck, mounted } = await drill(manifest, join(this.#dir, randomUUID()), context);
    const bad = verification.bad.map(({ key, reason }) => ({ key, reason }));
    const { chunks, bytes } = verification;
    return {
      ok,
      chunks,
      bytes,
      bad,
      fsck: fsck ?? null,
      mounted: mounted ?? null,
      took_ms: performance.now() - started,
    };
  }
}
