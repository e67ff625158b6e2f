import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { inParallel, punchHole, reflink } from "@mags/kit";
import { checkSignal } from "../objects/index.ts";
import { fetchChunk, getObject } from "./chunk.ts";
import type { VersionContext } from "./context.ts";
import { VersionError } from "./errors.ts";
import { CHUNK_BYTES, chunkLength, decodeManifest, type Manifest, manifestKey, sha256 } from "./manifest.ts";

/** Ends the name of a volume that is being restored. What a killed process has left may be deleted. */
export const PARTIAL = ".part";
const FETCHES = 24;
const FLUSH_BYTES = 32 * CHUNK_BYTES;

/** A volume on this machine that is the one of `manifest`, byte for byte, and that nobody writes. */
export interface NearVolume {
  manifest: Manifest;
  path: string;
}

export interface Restored {
  /** different chunks that were fetched */
  fetchedChunks: number;
  /** bytes of the chunks that were fetched, and of those that the near volume had */
  fetchedBytes: number;
  reusedBytes: number;
}

/** Fetches the manifest of this name: the SHA-256 of its file, and its epoch. */
export async function fetchManifest(name: string, ctx: VersionContext): Promise<Manifest> {
  const key = manifestKey(ctx.org, name);
  const file = await getObject(key, ctx);
  if (sha256(file) !== name.split(".")[0])
    throw new VersionError("damaged", `the manifest ${key} is damaged: not its SHA-256`, { key });
  return decodeManifest(file, key);
}

/**
 * Makes the file `to` (replaced if there) the volume of `manifest`, with every chunk's hash verified and holes where
 * there are zeros. With `near`, in the same file system with reflinks, only what differs from it is fetched. The file
 * appears when it is whole and durable; a failure leaves nothing.
 */
export async function restore(
  manifest: Manifest,
  to: string,
  near: NearVolume | undefined,
  ctx: VersionContext,
): Promise<Restored> {
  const partial = to + PARTIAL;
  await rm(partial, { force: true });
  const file = await open(partial, "wx+", 0o600);
  try {
    const restored = await fill(file, manifest, near, ctx);
    await file.sync();
    checkSignal(ctx.signal);
    await rename(partial, to);
    await syncDirectory(dirname(to));
    return restored;
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

async function fill(
  file: FileHandle,
  manifest: Manifest,
  near: NearVolume | undefined,
  ctx: VersionContext,
): Promise<Restored> {
  const { volume_bytes, chunks } = manifest;
  const known = near ? await cloneNear(file, near, manifest) : new Map<number, string>();
  await file.truncate(volume_bytes);
  const wanted = groupByContent(
    chunks.filter(([index, hash]) => known.get(index) !== hash),
    volume_bytes,
  );
  const total = chunks.reduce((sum, [index]) => sum + chunkLength(volume_bytes, index), 0);
  const flusher = new Flusher(file);
  let fetchedBytes = 0;
  const missing = wanted.reduce((sum, { indexes, length }) => sum + indexes.length * length, 0);
  await inParallel(FETCHES, wanted, async ({ hash, epoch, length, indexes }) => {
    checkSignal(ctx.signal);
    const positions = indexes.map((index) => index * CHUNK_BYTES);
    await fetchChunk({ hash, epoch, length, fd: file.fd, positions }, ctx);
    fetchedBytes += indexes.length * length;
    flusher.written(indexes.length * length);
    ctx.onProgress?.({ done: total - missing + fetchedBytes, total });
  });
  await flusher.end();
  return { fetchedChunks: wanted.length, fetchedBytes, reusedBytes: total - fetchedBytes };
}

/** Has what is written brought to the disk while more is fetched, so that little is left to wait for in the end. */
class Flusher {
  readonly #file: FileHandle;
  #dirty = 0;
  #running: Promise<void> | undefined;
  #failure: { error: unknown } | undefined;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  written(bytes: number): void {
    this.#dirty += bytes;
    if (this.#dirty < FLUSH_BYTES || this.#running) return;
    this.#dirty = 0;
    this.#running = this.#file
      .datasync()
      // A file tells of a write that failed once only.
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#running = undefined;
      });
  }

  /** Waits for the last; throws what any of them failed with. */
  async end(): Promise<void> {
    await this.#running;
    if (this.#failure) throw this.#failure.error;
  }
}

/** Takes over what the near volume has; answers the hashes, by index, of the chunks that are as wanted now. */
async function cloneNear(file: FileHandle, near: NearVolume, wanted: Manifest): Promise<Map<number, string>> {
  const source = await open(near.path, "r");
  try {
    if (!reflink(source.fd, file.fd)) throw new Error(`${near.path} cannot share its blocks with a restored volume`);
  } finally {
    await source.close();
  }
  const hashes = new Map(wanted.chunks.map(([index, hash]) => [index, hash]));
  const known = new Map<number, string>();
  for (const [index, hash] of near.manifest.chunks) {
    const length = chunkLength(near.manifest.volume_bytes, index);
    if (hashes.get(index) === hash && length === chunkLength(wanted.volume_bytes, index)) known.set(index, hash);
    else punchHole(file.fd, index * CHUNK_BYTES, length);
  }
  return known;
}

interface Content {
  hash: string;
  epoch: number;
  length: number;
  indexes: number[];
}

/** What occurs several times in a volume is fetched once. */
export function groupByContent(chunks: Manifest["chunks"], volumeBytes: number): Content[] {
  const contents = new Map<string, Content>();
  for (const [index, hash, epoch] of chunks) {
    const content = contents.get(hash);
    if (content) content.indexes.push(index);
    else contents.set(hash, { hash, epoch, length: chunkLength(volumeBytes, index), indexes: [index] });
  }
  return [...contents.values()];
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
