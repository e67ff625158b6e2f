import { isUtf8 } from "node:buffer";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import type { LogEntry, LogSource } from "@mags/protocol";
import { decodeRecord, type IndexRecord, LIMIT_MARK, RECORD_BYTES } from "./files.ts";

/** Positions delivered per source. */
export type Positions = Record<LogSource, number>;

/** Longest message; a longer line comes in pieces with `newline: false`, `bytes` */
const PIECE_BYTES = 64 * 1024;
const INDEX_WINDOW = 1024;
const NEWLINE = 0x0a;

export function parseCursor(cursor: string | undefined): Positions {
  const [stdout = 0, stderr = 0, system = 0] = (cursor ?? "0.0.0").split(".").map(Number);
  return { stdout, stderr, system };
}

export const formatCursor = (at: Positions): string => `${at.stdout}.${at.stderr}.${at.system}`;

/**
 * Reads a log from a place onward, entry by entry, through small windows of its files. It follows the index, so entries
 * come in the order in which their first bytes arrived. A line without its end is held back until `flush`.
 */
export class LogReader {
  readonly #files: Record<LogSource, FileHandle>;
  readonly #index: FileHandle;
  readonly #at: Positions;
  #indexAt = 0;
  /** bytes known to the index, per source */
  readonly #known: Positions = { stdout: 0, stderr: 0, system: 0 };
  /** when the first byte of a held-back line arrived */
  readonly #heldSince: Partial<Record<LogSource, number>> = {};

  private constructor(files: Record<LogSource, FileHandle>, index: FileHandle, at: Positions) {
    this.#files = files;
    this.#index = index;
    this.#at = at;
  }

  /** Throws ENOENT when there is no log in `dir`. */
  static async open(dir: string, after?: string): Promise<LogReader> {
    const file = (name: string) => open(join(dir, name), "r");
    const [stdout, stderr, system, index] = await Promise.all(["stdout", "stderr", "system", "index"].map(file));
    return new LogReader(
      { stdout, stderr, system } as Record<LogSource, FileHandle>,
      index as FileHandle,
      parseCursor(after),
    );
  }

  /** The place after what was delivered. */
  get cursor(): string {
    return formatCursor(this.#at);
  }

  /** The next entries, at most about `limit`; empty when there is nothing whole now. With `flush` also unfinished lines. */
  async next(limit: number, flush = false): Promise<{ entry: LogEntry; cursor: string }[]> {
    const out: { entry: LogEntry; cursor: string }[] = [];
    while (out.length < limit) {
      const records = await this.#records();
      if (records.length === 0) break;
      for (const [position, record] of records.entries()) {
        this.#known[record.source] = record.offset + record.length;
        await this.#lines(record, out);
        this.#indexAt += RECORD_BYTES;
        if (out.length >= limit && position < records.length - 1) break;
      }
    }
    if (flush && out.length < limit)
      for (const source of ["stdout", "stderr", "system"] as const) await this.#rest(source, out);
    return out;
  }

  async close(): Promise<void> {
    await Promise.all([...Object.values(this.#files), this.#index].map((file) => file.close()));
  }

  async #records(): Promise<IndexRecord[]> {
    const buffer = Buffer.alloc(RECORD_BYTES * INDEX_WINDOW);
    const { bytesRead } = await this.#index.read(buffer, 0, buffer.length, this.#indexAt);
    const count = Math.floor(bytesRead / RECORD_BYTES);
    return Array.from({ length: count }, (_, number) => decodeRecord(buffer, number * RECORD_BYTES));
  }

  /** Emits the whole lines that end within `record`; a line belongs to the time of its first byte. */
  async #lines(record: IndexRecord, out: { entry: LogEntry; cursor: string }[]): Promise<void> {
    const { source } = record;
    const end = record.offset + record.length;
    if (this.#at[source] >= end) return;
    let heldSince = this.#heldSince[source] ?? record.time;
    while (this.#at[source] < end) {
      const window = await this.#read(source, this.#at[source], Math.min(end - this.#at[source], PIECE_BYTES));
      if (window.length === 0) break;
      let from = 0;
      for (let at = window.indexOf(NEWLINE); at !== -1; at = window.indexOf(NEWLINE, from)) {
        this.#emit(source, window.subarray(from, at), true, heldSince, out);
        heldSince = record.time;
        from = at + 1;
      }
      if (from > 0) continue;
      if (window.length < PIECE_BYTES) break;
      this.#emit(source, window, false, heldSince, out);
    }
    this.#heldSince[source] = this.#at[source] < end ? heldSince : undefined;
  }

  async #rest(source: LogSource, out: { entry: LogEntry; cursor: string }[]): Promise<void> {
    const length = this.#known[source] - this.#at[source];
    if (length <= 0) return;
    const window = await this.#read(source, this.#at[source], length);
    this.#emit(source, window, false, this.#heldSince[source] ?? Date.now(), out);
    this.#heldSince[source] = undefined;
  }

  async #read(source: LogSource, offset: number, length: number): Promise<Buffer> {
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await this.#files[source].read(buffer, 0, length, offset);
    return buffer.subarray(0, bytesRead);
  }

  #emit(
    source: LogSource,
    line: Buffer,
    newline: boolean,
    time: number,
    out: { entry: LogEntry; cursor: string }[],
  ): void {
    const text = isUtf8(line);
    const bytes = line.length + (newline ? 1 : 0);
    const entry: LogEntry = {
      timestamp: new Date(time).toISOString(),
      level: levelOf(source, line),
      source,
      message: line.toString(text ? "utf8" : "base64"),
      offset: this.#at[source],
      bytes,
      newline,
      ...(text ? {} : { encoding: "base64" as const }),
    };
    this.#at[source] += bytes;
    out.push({ entry, cursor: this.cursor });
  }
}

/** System lines about lost output are warnings, which clients show without being asked. */
function levelOf(source: LogSource, line: Buffer): LogEntry["level"] {
  if (source === "stderr") return "error";
  return source === "system" && line.toString("latin1").startsWith(LIMIT_MARK) ? "warn" : "info";
}
