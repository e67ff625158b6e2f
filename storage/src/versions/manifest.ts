import { createHash } from "node:crypto";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { z } from "zod";
import { VersionError } from "./errors.ts";

/** Size of a chunk, `bytes`; the last of a volume may be shorter. */
export const CHUNK_BYTES = 1024 ** 2;
const MOST_CHUNKS = 2 * 1024 ** 2;
/** Of a volume of 2 TiB that is full. */
const MOST_JSON_BYTES = 256 * 1024 ** 2;

const Chunk = z.tuple([
  /** index in the volume, in chunks */
  z.int().nonnegative().max(MOST_CHUNKS),
  /** SHA-256 of its bytes */
  z.string().regex(/^[0-9a-f]{64}$/),
  /** which writing of this hash: one that was collected and is wanted again has another key */
  z.int().nonnegative(),
]);

const Manifest = z
  .strictObject({
    format: z.literal(1),
    volume_bytes: z.int().positive(),
    chunk_bytes: z.literal(CHUNK_BYTES),
    /** by index; those that are not named are zeros */
    chunks: z.array(Chunk),
  })
  .refine(({ chunks }) => chunks.every(([index], at) => at === 0 || index > (chunks[at - 1]?.[0] ?? 0)), {
    message: "must be in order, each once",
    path: ["chunks"],
  })
  .refine(({ chunks, volume_bytes }) => (chunks.at(-1)?.[0] ?? 0) * CHUNK_BYTES < volume_bytes, {
    message: "must lie in the volume",
    path: ["chunks"],
  });

/** Which bytes a version of a volume has: format 1. */
export type Manifest = z.infer<typeof Manifest>;

/** A version's file, as it is kept in the object store: zstd of JSON. */
export function encodeManifest(manifest: Manifest): Buffer {
  return zstdCompressSync(JSON.stringify(manifest), { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
}

/** Reads what `encodeManifest` wrote, now or in an earlier release. Throws VersionError; `key` is named in it. */
export function decodeManifest(file: Uint8Array, key?: string): Manifest {
  const wrong = (what: string, cause?: unknown) =>
    new VersionError("damaged", `the manifest ${key ?? ""} is damaged: ${what}`, { key, cause });
  let content: unknown;
  try {
    content = JSON.parse(zstdDecompressSync(file, { maxOutputLength: MOST_JSON_BYTES }).toString());
  } catch (error) {
    throw wrong((error as Error).message, error);
  }
  const format = z.object({ format: z.int().positive() }).safeParse(content);
  if (format.success && format.data.format > 1) {
    const message = `the manifest ${key ?? ""} has format ${format.data.format}; this Mags reads format 1: use a newer one`;
    throw new VersionError("newer", message, { key });
  }
  const manifest = Manifest.safeParse(content);
  if (manifest.success) return manifest.data;
  const [issue] = manifest.error.issues;
  throw wrong(`${issue?.path.join(".")}: ${issue?.message}`, manifest.error);
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Key of a manifest's object; `name` is the SHA-256 of the file and its epoch, as in `ab12….3`. */
export const manifestKey = (org: string, name: string): string => `orgs/${org}/manifests/${name}`;

/** Key of a chunk's object; `hash` is the SHA-256 of its bytes before compression. */
export const chunkKey = (org: string, hash: string, epoch: number): string =>
  `orgs/${org}/chunks/${hash.slice(0, 2)}/${hash}.${epoch}`;

/** Bytes that the chunk `index` of a volume has. */
export const chunkLength = (volumeBytes: number, index: number): number =>
  Math.min(CHUNK_BYTES, volumeBytes - index * CHUNK_BYTES);
