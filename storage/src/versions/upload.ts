import { type FileHandle, open } from "node:fs/promises";
import { inParallel } from "@mags/kit";
import { checkSignal } from "../objects/index.ts";
import { chunkThreads, putChunk } from "./chunk.ts";
import { persistently, type VersionContext } from "./context.ts";
import { CHUNK_BYTES, chunkLength, encodeManifest, type Manifest, manifestKey, sha256 } from "./manifest.ts";
import { changedRanges, dataRanges, type Range } from "./ranges.ts";

/** Who knows which chunks there are. */
export interface ChunkIndex {
  /**
   * Says of each hash under which epoch it is kept and whether it has to be uploaded, and keeps it from being collected
   * for a while. Called with some tens of different hashes.
   */
  claim(chunks: { hash: string; bytes: number }[]): Promise<{ hash: string; epoch: number; missing: boolean }[]>;
}

/** A version that is known here: its manifest, and its snapshot as long as that is there. */
export interface KnownVersion {
  manifest: Manifest;
  path: string | undefined;
}

/** A version that is in the object store. It is one when whoever keeps versions has written it down. */
export interface Upload {
  manifest: Manifest;
  /** the manifest's object, and its name: the SHA-256 of it, and its epoch */
  file: Buffer;
  name: string;
  /** the chunks that were uploaded, and the manifest, which is kept and collected like a chunk */
  stored: { hash: string; epoch: number; stored_bytes: number }[];
  /** bytes of the chunks that differ from the parent's */
  changedBytes: number;
  /** bytes that were written to the object store */
  newBytes: number;
}

/** Chunks that are hashed and claimed together, and how many such groups are in memory at a time. */
const GROUP = 24;
const GROUPS = 2;

/**
 * Brings the snapshot at `path`, which nobody writes, into the object store: reads the chunks that differ from `parent`,
 * uploads those that the index misses, then the manifest. All of it, and the snapshot on this disk, is durable when this
 * resolves. Answers undefined, without having touched the object store, when the snapshot is the same as the parent.
 */
export async function upload(
  path: string,
  parent: KnownVersion | undefined,
  index: ChunkIndex,
  ctx: VersionContext,
): Promise<Upload | undefined> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const ranges = parent?.path === undefined ? await dataRanges(path) : await changedRanges(parent.path, path);
    const chunks = chunksOf(ranges, size, parent?.manifest);
    if (parent && parent.path === undefined) for (const [index] of parent.manifest.chunks) chunks.add(index);
    const sorted = [...chunks].filter((at) => at * CHUNK_BYTES < size).sort((a, b) => a - b);
    const uploading = new Uploading(file, size, parent?.manifest, index, ctx);
    await inParallel(GROUPS, uploading.groups(sorted), (group) => uploading.store(group));
    if (parent && uploading.changedBytes === 0 && size === parent.manifest.volume_bytes) return undefined;
    // The next upload takes this snapshot for what the manifest says, also after a crash of the machine.
    await file.sync();
    return await uploading.finish();
  } finally {
    await file.close();
  }
}

/** Indexes of the chunks that lie in `ranges`, and of the one whose length is another than in the parent. */
function chunksOf(ranges: Range[], size: number, parent: Manifest | undefined): Set<number> {
  const indexes = new Set<number>();
  for (const { start, end } of ranges) {
    for (let index = Math.floor(start / CHUNK_BYTES); index * CHUNK_BYTES < end; index++) indexes.add(index);
  }
  if (parent && parent.volume_bytes !== size)
    indexes.add(Math.floor(Math.min(size, parent.volume_bytes) / CHUNK_BYTES));
  return indexes;
}

interface Piece {
  index: number;
  length: number;
  /** undefined where all bytes are zeros */
  hash?: string;
  /** its object's content; undefined where the chunk is as it was in the parent */
  body?: Uint8Array;
}

class Uploading {
  changedBytes = 0;
  readonly #file: FileHandle;
  readonly #size: number;
  readonly #index: ChunkIndex;
  readonly #ctx: VersionContext;
  readonly #stored: Upload["stored"] = [];
  /** the version's chunks: hash by index */
  readonly #chunks = new Map<number, string>();
  /** epochs by hash, of the parent's chunks and of those that have been claimed and stored */
  readonly #epochs = new Map<string, number | Promise<number>>();
  #done = 0;
  #total = 0;

  constructor(file: FileHandle, size: number, parent: Manifest | undefined, index: ChunkIndex, ctx: VersionContext) {
    [this.#file, this.#size, this.#index, this.#ctx] = [file, size, index, ctx];
    for (const [at, hash, epoch] of parent?.chunks ?? []) {
      if (at * CHUNK_BYTES < size) this.#chunks.set(at, hash);
      this.#epochs.set(hash, epoch);
    }
  }

  *groups(indexes: number[]): Generator<number[]> {
    this.#total = indexes.reduce((sum, index) => sum + chunkLength(this.#size, index), 0);
    for (let at = 0; at < indexes.length; at += GROUP) yield indexes.slice(at, at + GROUP);
  }

  /** Reads these chunks and sees to it that they are in the object store. */
  async store(indexes: number[]): Promise<void> {
    checkSignal(this.#ctx.signal);
    const pieces = await settled(indexes.map((index) => this.#pack(index)));
    const changed = pieces.filter(({ index, hash }) => this.#chunks.get(index) !== hash);
    for (const { index, length, hash } of changed) {
      if (hash === undefined) this.#chunks.delete(index);
      else this.#chunks.set(index, hash);
      this.changedBytes += length;
    }
    this.#claim(changed);
    await settled(changed.map(({ hash }) => hash && this.#epochs.get(hash)));
    this.#done += pieces.reduce((sum, { length }) => sum + length, 0);
    this.#ctx.onProgress?.({ done: this.#done, total: this.#total });
  }

  /** Stores the manifest. */
  async finish(): Promise<Upload> {
    const { objects, org, signal } = this.#ctx;
    const chunks: Manifest["chunks"] = [];
    for (const [index, hash] of [...this.#chunks].sort(([a], [b]) => a - b)) {
      chunks.push([index, hash, (await this.#epochs.get(hash)) as number]);
    }
    const manifest: Manifest = { format: 1, volume_bytes: this.#size, chunk_bytes: CHUNK_BYTES, chunks };
    const file = encodeManifest(manifest);
    const hash = sha256(file);
    const [own] = await this.#index.claim([{ hash, bytes: file.length }]);
    if (!own) throw new Error("the index of chunks does not answer about the manifest");
    const name = `${hash}.${own.epoch}`;
    if (own.missing) {
      await persistently(this.#ctx, () => objects.put(manifestKey(org, name), file, { signal }));
      this.#stored.push({ hash, epoch: own.epoch, stored_bytes: file.length });
    }
    const newBytes = this.#stored.reduce((sum, { stored_bytes }) => sum + stored_bytes, 0);
    return { manifest, file, name, stored: this.#stored, changedBytes: this.changedBytes, newBytes };
  }

  async #pack(index: number): Promise<Piece> {
    const length = chunkLength(this.#size, index);
    const known = this.#chunks.get(index);
    return { index, length, ...(await chunkThreads.call("pack", this.#file.fd, index * CHUNK_BYTES, length, known)) };
  }

  /** Asks at once for all that are not known, and uploads each that is missing when the answer is there. */
  #claim(pieces: Piece[]): void {
    const fresh = new Map<string, { length: number; body: Uint8Array }>();
    for (const { hash, body, length } of pieces) {
      if (hash !== undefined && body !== undefined && !this.#epochs.has(hash)) fresh.set(hash, { length, body });
    }
    if (fresh.size === 0) return;
    const answers = this.#index
      .claim([...fresh].map(([hash, { length }]) => ({ hash, bytes: length })))
      .then((chunks) => new Map(chunks.map((chunk) => [chunk.hash, chunk])));
    for (const [hash, { body }] of fresh) {
      const stored = answers.then(async (chunks) => {
        const chunk = chunks.get(hash);
        if (!chunk) throw new Error(`the index of chunks does not answer about ${hash}`);
        if (!chunk.missing) return chunk.epoch;
        await putChunk(body, hash, chunk.epoch, this.#ctx);
        this.#stored.push({ hash, epoch: chunk.epoch, stored_bytes: body.length });
        return chunk.epoch;
      });
      this.#epochs.set(hash, stored);
    }
  }
}

/** Waits for all of them, also when one fails. */
async function settled<T>(all: (T | Promise<T>)[]): Promise<T[]> {
  const ends = await Promise.allSettled(all);
  return ends.map((end) => {
    if (end.status === "rejected") throw end.reason;
    return end.value;
  });
}
