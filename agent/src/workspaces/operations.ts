import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { Cleanup } from "@mags/kit";
import type {
  DiffVersions,
  ExportVersion,
  ImportVersion,
  VersionRef,
  VersionsDiffer,
  VersionVerified,
} from "@mags/protocol";
import { drill, fetchManifest, SCRATCH } from "@mags/storage";
import type { Images } from "../images/index.ts";
import { diffVersions } from "./diff.ts";
import { exportVolume, type Importing, importVolume } from "./exchange.ts";
import { mountVersion } from "./mounted.ts";

export interface OperationsOptions extends Importing {
  /** what workspaces lie over */
  images: Images;
}

/** What can be done with a version on any node; its workspace is not touched. */
export class Operations {
  readonly #options: OperationsOptions;
  readonly #dir: string;

  constructor(options: OperationsOptions) {
    this.#options = options;
    this.#dir = join(options.store.path, "scratch");
  }

  /** Removes what an earlier process left. */
  async open(): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#dir)) await rm(join(this.#dir, name), { recursive: true, force: true });
    const { path } = this.#options.store;
    for (const name of await readdir(path))
      if (name.startsWith(SCRATCH)) await rm(join(path, name), { recursive: true, force: true });
  }

  /** A restore drill, from the object store alone. Throws ObjectError, StoreFull, or VersionError for a bad manifest. */
  async verify(org: string, version: VersionRef, signal: AbortSignal): Promise<VersionVerified> {
    const started = performance.now();
    const { objects, cache } = this.#options;
    const context = { objects, org, signal };
    const manifest = await fetchManifest(version.manifest, context);
    await cache.room(manifest.chunks.length * manifest.chunk_bytes);
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

  /** What is different between two versions, or between the image and one. Throws as `VersionCache.image`. */
  async diff({ org, image, from, to }: DiffVersions, signal: AbortSignal): Promise<VersionsDiffer> {
    const { store, cache, images } = this.#options;
    const { rootfs } = await images.ensure(image, signal, () => undefined);
    const cleanup = new Cleanup();
    const open = async (version: VersionRef, near: VersionRef | null) => {
      cleanup.add("hold", cache.hold(version));
      const { path } = await cache.image({ org, version, near, signal });
      return mountVersion(store, path, rootfs, join(this.#dir, randomUUID()), cleanup);
    };
    try {
      const before = from ? await open(from, null) : { root: rootfs, upper: undefined };
      return await diffVersions(before, await open(to, from), signal);
    } finally {
      await cleanup.run();
    }
  }

  /** The bytes of a version; the stream fails where something goes wrong on the way. Throws as `VersionCache.image`. */
  async export({ org, name, image, version, format }: ExportVersion, signal: AbortSignal): Promise<Readable> {
    const { store, cache, images } = this.#options;
    const { rootfs } = await images.ensure(image, signal, () => undefined);
    const release = cache.hold(version);
    try {
      const { path } = await cache.image({ org, version, signal });
      return exportVolume({ name, format, volume: path, rootfs, store }).once("close", release);
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Makes the first version of a workspace of an export; see `importVolume`. */
  import(wanted: ImportVersion, input: Readable, signal: AbortSignal): Promise<VersionRef> {
    return importVolume(this.#options, wanted, input, join(this.#dir, `${randomUUID()}.ext4`), signal);
  }
}
