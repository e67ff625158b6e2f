/** What is done with the bytes of chunks, on threads: they would hold up everything else in the process. */
import { hash as digest } from "node:crypto";
import { readSync, writeSync } from "node:fs";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { serveCalls } from "@mags/kit";

export const calls = { pack, unpack };
serveCalls(calls);

/** Level 3 takes three times as long, for objects that are as large. */
const LEVEL = 1;
/** What a zstd frame may have more than the bytes in it. */
const FRAME_BYTES = 8192;
/** Node takes no smaller buffer for output. */
const LEAST_OUTPUT = 64;
const PAGE_BYTES = 4096;
const ZEROS = Buffer.alloc(1024 ** 2);

let buffer = Buffer.alloc(0);

/**
 * Reads a chunk of the open file `fd`: its hash, undefined where all is zeros, and its object's content, left out where
 * the hash is `known`. Both are of the same reading, so that an object has the content that its name says.
 */
function pack(fd: number, position: number, length: number, known: string | undefined) {
  if (buffer.length < length) buffer = Buffer.allocUnsafeSlow(length);
  const bytes = buffer.subarray(0, length);
  for (let at = 0; at < length; ) {
    const count = readSync(fd, bytes, at, length - at, position + at);
    if (count === 0) throw new Error(`a volume ended at byte ${position + at} while it was read`);
    at += count;
  }
  if (isZero(bytes)) return {};
  const hash = digest("sha256", bytes);
  if (hash === known) return { hash };
  const params = { [constants.ZSTD_c_compressionLevel]: LEVEL };
  // One buffer that is large enough: in pieces of Node's own size it would be sixty.
  return { hash, body: zstdCompressSync(bytes, { chunkSize: length + FRAME_BYTES, params }) };
}

/**
 * Makes sure that `body` is the object of the chunk with this hash and length, and writes its bytes to the open file
 * `fd`, into holes at `positions`, without what is zeros. Answers what is wrong with it, if anything; then nothing is
 * written.
 */
function unpack(body: Uint8Array, hash: string, length: number, fd: number, positions: number[]): string | undefined {
  let bytes: Buffer;
  try {
    bytes = zstdDecompressSync(body, { chunkSize: Math.max(length, LEAST_OUTPUT), maxOutputLength: length });
  } catch (error) {
    return (error as Error).message;
  }
  if (bytes.length !== length) return `it has ${bytes.length} bytes, not ${length}`;
  const found = digest("sha256", bytes);
  if (found !== hash) return `its bytes have the SHA-256 ${found}`;
  for (const position of positions) writeSparsely(fd, bytes, position);
  return undefined;
}

function writeSparsely(fd: number, bytes: Buffer, position: number): void {
  for (const { start, end } of runsOf(bytes)) {
    for (let at = start; at < end; ) at += writeSync(fd, bytes, at, end - at, position + at);
  }
}

/** The runs of whole pages that are not all zeros. */
function* runsOf(bytes: Buffer): Generator<{ start: number; end: number }> {
  let start = -1;
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
    const zero = isZero(bytes.subarray(at, at + PAGE_BYTES));
    if (!zero && start < 0) start = at;
    if (zero && start >= 0) {
      yield { start, end: at };
      start = -1;
    }
  }
  if (start >= 0) yield { start, end: bytes.length };
}

/** The first byte tells in most cases where there are others. */
const isZero = (bytes: Uint8Array): boolean =>
  bytes[0] === 0 && ZEROS.compare(bytes, 0, bytes.length, 0, bytes.length) === 0;
