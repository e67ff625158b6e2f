import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompress } from "node:zlib";
import { ObjectError } from "../objects/index.ts";
import { persistently, type VersionContext } from "./context.ts";
import { VersionError } from "./errors.ts";
import { chunkKey } from "./manifest.ts";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
const PAGE_BYTES = 4096;
const ZEROS = Buffer.alloc(1024 ** 2);

/** SHA-256 in hex, on a thread of the pool. */
export async function hashOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return Buffer.from(await crypto.subtle.digest("SHA-256", bytes)).toString("hex");
}

/** Stores a chunk; answers how many bytes its object has. */
export async function putChunk(bytes: Uint8Array, hash: string, epoch: number, ctx: VersionContext): Promise<number> {
  const { objects, org, signal } = ctx;
  const body = await compress(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  await persistently(ctx, () => objects.put(chunkKey(org, hash, epoch), body, { signal }));
  return body.length;
}

/** Fetches a chunk and makes sure that it is what was stored. Throws VersionError naming its key when it is not. */
export async function getChunk(hash: string, epoch: number, length: number, ctx: VersionContext): Promise<Buffer> {
  const key = chunkKey(ctx.org, hash, epoch);
  const wrong = (what: string, cause?: unknown) =>
    new VersionError("damaged", `the chunk ${key} in ${ctx.objects.description} is damaged: ${what}`, { key, cause });
  const body = await getObject(key, ctx);
  let bytes: Buffer<ArrayBuffer>;
  try {
    bytes = await decompress(body, { maxOutputLength: length });
  } catch (error) {
    throw wrong((error as Error).message, error);
  }
  if (bytes.length !== length) throw wrong(`it has ${bytes.length} bytes, not ${length}`);
  const found = await hashOf(bytes);
  if (found !== hash) throw wrong(`its bytes have the SHA-256 ${found}`);
  return bytes;
}

/** An object of a version; that it is not there is an error of the version. */
export async function getObject(key: string, ctx: VersionContext): Promise<Buffer> {
  const { objects, signal } = ctx;
  try {
    return await persistently(ctx, () => objects.get(key, { signal }));
  } catch (error) {
    if (!(error instanceof ObjectError && error.code === "not_found")) throw error;
    throw new VersionError("missing", `${key} is missing in ${objects.description}`, { key, cause: error });
  }
}

export const isZero = (bytes: Uint8Array): boolean => ZEROS.compare(bytes, 0, bytes.length, 0, bytes.length) === 0;

/** The runs of whole pages of a chunk that are not all zeros. */
export function* nonZeroRuns(bytes: Buffer): Generator<{ at: number; bytes: Buffer }> {
  let from = -1;
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
    const zero = isZero(bytes.subarray(at, at + PAGE_BYTES));
    if (!zero && from < 0) from = at;
    if (zero && from >= 0) {
      yield { at: from, bytes: bytes.subarray(from, at) };
      from = -1;
    }
  }
  if (from >= 0) yield { at: from, bytes: bytes.subarray(from) };
}
