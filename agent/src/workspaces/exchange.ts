import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import { PassThrough, Readable } from "node:stream";
import { type ExportFormat, type ImportVersion, jobLimits, type VersionRef } from "@mags/protocol";
import {
  exportOci,
  exportTar,
  importExt4,
  importOci,
  importTar,
  type ReflinkStore,
  type Templates,
  upload,
  VersionError,
} from "@mags/storage";
import { type ControlPlane, Fenced } from "../control-plane.ts";
import type { VersionCache } from "./cache.ts";
import { chunkIndex, uploaded } from "./chunk-index.ts";
import { NotDurable } from "./errors.ts";

const GiB = 1024 ** 3;
/** Room on the node's disk is looked at each so many bytes that come in. */
const LOOK_BYTES = 64 * 1024 ** 2;
/** What must be free then. */
const ROOM_BYTES = 512 * 1024 ** 2;

/** What is exported, and where. */
export interface Exported {
  /** what it is called in an OCI image */
  name: string;
  format: ExportFormat;
  /** the version's volume */
  volume: string;
  /** directory of the image that it lies over */
  rootfs: string;
  store: ReflinkStore;
}

/** The bytes of a version in a format that other tools read; the stream fails where something goes wrong on the way. */
export function exportVolume({ name, format, volume, rootfs, store }: Exported): Readable {
  if (format === "ext4") return createReadStream(volume);
  const stream = new PassThrough();
  const done = format === "tar" ? exportTar(store, volume, stream) : exportOci(store, volume, rootfs, name, stream);
  done.catch((error) => stream.destroy(error));
  return stream;
}

export interface Importing {
  store: ReflinkStore;
  templates: Templates;
  cache: VersionCache;
  objects: Parameters<typeof upload>[3]["objects"];
  controlPlane: ControlPlane;
}

/**
 * Makes the first version of a workspace of what `exportVolume` has written. It is there when this resolves, or nothing is.
 * Throws VersionError for what is no such thing, StoreFull, NotDurable, Fenced.
 */
export async function importVolume(
  { store, templates, cache, objects, controlPlane }: Importing,
  { org, workspace, fence, format, disk_gb, sha256 }: ImportVersion,
  input: Readable,
  to: string,
  signal: AbortSignal,
): Promise<VersionRef> {
  const started = performance.now();
  const arriving = Readable.from(watched(input, cache), { objectMode: false });
  const expected = sha256 === undefined ? undefined : { sha256 };
  try {
    if (format === "ext4") await importExt4(store, arriving, to, jobLimits.diskGbMax * GiB, expected);
    else await (format === "tar" ? importTar : importOci)(store, templates, arriving, to, disk_gb, expected);
    const made = await upload(to, undefined, chunkIndex(controlPlane, org, signal), { objects, org, signal });
    if (!made) throw new VersionError("invalid", "there is nothing in it");
    const commit = { org, workspace, fence, job: null, parent: null, reason: "import" as const, ...uploaded(made) };
    const { version } = await controlPlane.commitVersion({ ...commit, sync_ms: performance.now() - started }, signal);
    await cache.add(to, made);
    return version;
  } catch (error) {
    if (error instanceof VersionError) throw new VersionError("invalid", error.message);
    if (error instanceof Fenced) throw error;
    throw new NotDurable(`the import came to nothing: ${(error as Error).message}`, { cause: error });
  } finally {
    await rm(to, { force: true });
  }
}

async function* watched(input: Readable, cache: VersionCache): AsyncGenerator<Buffer> {
  let unseen = LOOK_BYTES;
  for await (const chunk of input) {
    unseen += chunk.length;
    if (unseen >= LOOK_BYTES) {
      await cache.room(ROOM_BYTES);
      unseen = 0;
    }
    yield chunk;
  }
}
