import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "@mags/kit";
import type { VersionRef } from "@mags/protocol";
import {
  decodeManifest,
  encodeManifest,
  fetchManifest,
  type KnownVersion,
  type Manifest,
  type ObjectStore,
  PARTIAL,
  type ReflinkStore,
  restore,
  type Upload,
} from "@mags/storage";

/** What getting a version needs to know. */
export interface Wanted {
  org: string;
  version: VersionRef;
  /** a version that may be on this node and is likely much the same */
  near?: VersionRef | null | undefined;
  signal?: AbortSignal | undefined;
  /** told when it has to be fetched, and how far that is, `bytes` */
  onProgress?: (progress: { done: number; total: number }) => void;
}

const IMAGE = ".ext4";
const MANIFEST = ".manifest";

/**
 * Images of versions on this node, by the name of their manifest. They never change, are durable in the object store, and
 * may be shared: by the live volumes cloned from them, and by the next sync, which reads only what differs from one. The
 * least recently used go when the node's disk is short of room.
 */
export class VersionCache {
  readonly #store: ReflinkStore;
  readonly #dir: string;
  readonly #objects: ObjectStore;
  readonly #logger: Logger;
  readonly #fetching = new Map<string, Promise<KnownVersion & { path: string }>>();
  readonly #held = new Map<string, number>();

  constructor(options: { store: ReflinkStore; objects: ObjectStore; logger: Logger }) {
    this.#store = options.store;
    this.#dir = join(options.store.path, "versions");
    this.#objects = options.objects;
    this.#logger = options.logger;
  }

  /** Removes what an earlier process had begun. */
  async open(): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#dir))
      if (name.endsWith(PARTIAL) || name.endsWith(".new")) await rm(join(this.#dir, name), { force: true });
  }

  /**
   * The image of a version, from this node or else from the object store. It may be evicted any time after, unless it is
   * held. Throws VersionError naming the object that is damaged or missing, ObjectError, StoreFull.
   */
  async image(wanted: Wanted): Promise<KnownVersion & { path: string }> {
    const { manifest: name } = wanted.version;
    for (;;) {
      const local = await this.#local(name);
      if (local) return local;
      const others = this.#fetching.get(name);
      if (!others) break;
      // Whatever became of it, the next look decides: whoever fetches may give up while we still want it.
      await others.catch(() => undefined);
    }
    const fetching = this.#fetch(wanted).finally(() => this.#fetching.delete(name));
    this.#fetching.set(name, fetching);
    return fetching;
  }

  /** The version as far as it is known here; its manifest is fetched where need be. */
  async known(org: string, version: VersionRef, signal?: AbortSignal): Promise<KnownVersion> {
    const local = await this.#local(version.manifest);
    if (local) return local;
    const manifest = await this.#manifest(version.manifest);
    return {
      manifest: manifest ?? (await fetchManifest(version.manifest, this.#context(org, signal))),
      path: undefined,
    };
  }

  /** Takes over the snapshot at `path`, which has become a version. */
  async add(path: string, { file, name }: Pick<Upload, "file" | "name">): Promise<void> {
    await this.#writeManifest(name, file);
    await rename(path, this.#image(name));
  }

  /** Keeps a version from being evicted until it is released as often. */
  hold(version: VersionRef): () => void {
    const { manifest: name } = version;
    this.#held.set(name, (this.#held.get(name) ?? 0) + 1);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const count = (this.#held.get(name) ?? 1) - 1;
      if (count === 0) this.#held.delete(name);
      else this.#held.set(name, count);
    };
  }

  /** Does not keep a version any longer, unless somebody uses it. */
  async drop({ manifest }: VersionRef): Promise<void> {
    if (!this.#held.has(manifest) && !this.#fetching.has(manifest)) await this.#forget(manifest);
  }

  /** Makes sure that `bytes` can be written, at the cost of versions that nobody uses now. Throws StoreFull. */
  async room(bytes: number): Promise<void> {
    const enough = async () => (await this.#store.space()).free >= bytes;
    if (await enough()) return;
    for (const name of await this.#leastRecent()) {
      if (await enough()) return;
      this.#logger.info({ version: name }, "the node's disk is short of room: a version is no longer kept here");
      await this.#forget(name);
    }
    await this.#store.room(bytes);
  }

  async #local(name: string): Promise<(KnownVersion & { path: string }) | undefined> {
    const path = this.#image(name);
    const now = new Date();
    // The mark of its use; where that fails it is not there.
    const there = await utimes(path, now, now).then(
      () => true,
      () => false,
    );
    const manifest = there ? await this.#manifest(name) : undefined;
    return manifest && { manifest, path };
  }

  async #fetch({ org, version, near, signal, onProgress }: Wanted): Promise<KnownVersion & { path: string }> {
    const ctx = { ...this.#context(org, signal), onProgress };
    const manifest = (await this.#manifest(version.manifest)) ?? (await fetchManifest(version.manifest, ctx));
    const known = near ? await this.#local(near.manifest) : undefined;
    const release = near && this.hold(near);
    try {
      await this.room(missingBytes(manifest, known?.manifest));
      await this.#writeManifest(version.manifest, encodeManifest(manifest));
      const path = this.#image(version.manifest);
      await restore(manifest, path, known, ctx);
      return { manifest, path };
    } finally {
      release?.();
    }
  }

  #context(org: string, signal: AbortSignal | undefined) {
    return { objects: this.#objects, org, signal };
  }

  /** The manifest as it lies here; one that is not what its name says is not there. */
  async #manifest(name: string): Promise<Manifest | undefined> {
    const file = await readFile(join(this.#dir, name + MANIFEST)).catch(() => undefined);
    try {
      return file && decodeManifest(file);
    } catch {
      return undefined;
    }
  }

  async #writeManifest(name: string, file: Buffer): Promise<void> {
    const path = join(this.#dir, name + MANIFEST);
    await writeFile(`${path}.new`, file, { flush: true, mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  #image(name: string): string {
    return join(this.#dir, name + IMAGE);
  }

  async #leastRecent(): Promise<string[]> {
    const names = (await readdir(this.#dir)).filter((name) => name.endsWith(IMAGE));
    const used = await Promise.all(
      names.map(async (name) => ({
        name: name.slice(0, -IMAGE.length),
        at: await stat(join(this.#dir, name)).then(
          ({ mtimeMs }) => mtimeMs,
          () => 0,
        ),
      })),
    );
    const free = used.filter(({ name }) => !this.#held.has(name) && !this.#fetching.has(name));
    return free.sort((a, b) => a.at - b.at).map(({ name }) => name);
  }

  async #forget(name: string): Promise<void> {
    await rm(this.#image(name), { force: true });
    await rm(join(this.#dir, name + MANIFEST), { force: true });
  }
}

/** Bytes that a restore writes. */
function missingBytes(manifest: Manifest, near: Manifest | undefined): number {
  const known = new Set(near?.chunks.map(([index, hash]) => `${index} ${hash}`));
  return manifest.chunks.filter(([index, hash]) => !known.has(`${index} ${hash}`)).length * manifest.chunk_bytes;
}
