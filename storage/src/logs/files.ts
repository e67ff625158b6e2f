import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LogEnd, type LogSource, logSources } from "@mags/protocol";

/**
 * A job's log on disk: one file of raw bytes per source, and `index`, fixed-size records that say in which order and
 * when pieces arrived. A byte's position is its offset in its source's file.
 */
export interface IndexRecord {
  /** ms since 1970 */
  time: number;
  source: LogSource;
  offset: number;
  length: number;
}

/** Beginning of the system lines that tell of dropped output */
export const LIMIT_MARK = "log limit";

/** Size of a record in the index file, `bytes` */
export const RECORD_BYTES = 32;

export function encodeRecord(record: IndexRecord): Buffer {
  const buffer = Buffer.alloc(RECORD_BYTES);
  buffer.writeDoubleLE(record.time, 0);
  buffer.writeDoubleLE(record.offset, 8);
  buffer.writeDoubleLE(record.length, 16);
  buffer.writeUInt8(logSources.indexOf(record.source), 24);
  return buffer;
}

export function decodeRecord(buffer: Buffer, at: number): IndexRecord {
  return {
    time: buffer.readDoubleLE(at),
    offset: buffer.readDoubleLE(at + 8),
    length: buffer.readDoubleLE(at + 16),
    source: logSources[buffer.readUInt8(at + 24)] ?? "system",
  };
}

/** The record that closes a log, or null while it grows. */
export async function readEnd(dir: string): Promise<LogEnd | null> {
  const text = await readEndText(dir);
  return text === null ? null : LogEnd.parse(JSON.parse(text));
}

export const readEndText = (dir: string): Promise<string | null> =>
  readFile(join(dir, "end.json"), "utf8").catch(() => null);
