import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { LogEnd } from "@mags/protocol";
import { z } from "zod";
import { RECORD_BYTES } from "./files.ts";

/** More than any segment has, `bytes` */
const MOST_BYTES = 64 * 1024 ** 2;
const HEAD_BYTES = 4;

const Head = z.object({
  format: z.literal(1),
  /** number of its first record in the log */
  first: z.int().nonnegative(),
  records: z.int().nonnegative(),
  /** the log's last record, where the segment is the last one of a log that has ended */
  end: LogEnd.nullable(),
});

/**
 * A part of a log as it is kept in the object store, format 1: zstd of the length of the head (u32, little endian), the head as
 * JSON, the records of the index, and the bytes that these stand for, one after the other.
 */
export function encodeSegment({ first, end }: { first: number; end: string | null }, index: Buffer, output: Buffer) {
  const records = index.length / RECORD_BYTES;
  const head = Buffer.from(JSON.stringify({ format: 1, first, records, end: end && JSON.parse(end) }));
  const length = Buffer.alloc(HEAD_BYTES);
  length.writeUInt32LE(head.length);
  return zstdCompressSync(Buffer.concat([length, head, index, output]), {
    params: { [constants.ZSTD_c_checksumFlag]: 1 },
  });
}

/** Reads what `encodeSegment` wrote. Throws Error that names `key` when it is something else. */
export function decodeSegment(object: Uint8Array, key: string) {
  try {
    const bytes = zstdDecompressSync(object, { maxOutputLength: MOST_BYTES });
    const rest = HEAD_BYTES + bytes.readUInt32LE(0);
    const { records, end } = Head.parse(JSON.parse(bytes.toString("utf8", HEAD_BYTES, rest)));
    const output = rest + records * RECORD_BYTES;
    return { end: end && JSON.stringify(end), index: bytes.subarray(rest, output), output: bytes.subarray(output) };
  } catch (cause) {
    throw new Error(`the part ${key} of a log cannot be read: ${(cause as Error).message}`, { cause });
  }
}
