import { EventEmitter } from "node:events";
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { makeFifo, makePipe, setPipeSize, splicePipe, teePipe } from "@mags/kit";
import type { LogEnd, LogSource } from "@mags/protocol";
import { decodeRecord, encodeRecord, type IndexRecord, LIMIT_MARK, RECORD_BYTES } from "@mags/storage";
import { Mask } from "./mask.ts";
import { Ticker } from "./ticker.ts";

/** What a pipe may hold while nobody reads, `bytes`; the most that the kernel gives by default */
const PIPE_BYTES = 1024 * 1024;
const SYSTEM_LIMIT_BYTES = 1024 * 1024;

type Stream = "stdout" | "stderr";
const streams: Stream[] = ["stdout", "stderr"];
interface Source {
  file: number;
  size: number;
}

/**
 * Takes the output of a job from two FIFOs into its log files.
 *
 * Whoever writes to the FIFOs holds them open for reading too, so nothing breaks while no capture is there: the writer
 * waits once a pipe is full. Each piece is moved by splice(2) from pipe to file; what a killed agent had moved but not
 * yet indexed is found as the unindexed tail of a file, and goes into the index when the log is opened again.

 * Where values have to be masked, what a pipe holds is looked at in a copy (tee(2)) and taken out only once it is written: so
 * the beginning of a value waits in the pipe for its end, and outlives this process there.
 *
 * Output beyond the limit is taken and dropped, so that a script never stalls on its log; how much is counted.
 *
 * Emits `data` when something was added.
 */
export class LogCapture extends EventEmitter<{ data: []; end: [] }> {
  static readonly #ticker = new Ticker();
  readonly #dir: string;
  readonly #limit: number;
  readonly #pipes: Record<Stream, number>;
  readonly #sources: Record<LogSource, Source>;
  readonly #index: number;
  #indexSize = 0;
  readonly #null: number;
  readonly #mask: Mask;
  /** a pipe for copies, where there is something to mask */
  readonly #copy: [number, number] | undefined;
  #finishing = false;
  #dropped: Record<Stream, number> = { stdout: 0, stderr: 0 };
  #closed = false;
  #ended = false;
  readonly #tick = () => this.drain();

  /** Opens the log in `dir`, or goes on with one that an earlier process left. */
  static open(options: { dir: string; limitBytes: number; mask?: string[] }): LogCapture {
    return new LogCapture(options.dir, options.limitBytes, new Mask(options.mask ?? []));
  }

  private constructor(dir: string, limit: number, mask: Mask) {
    super();
    this.setMaxListeners(0);
    this.#dir = dir;
    this.#limit = limit;
    this.#mask = mask;
    this.#copy = mask.isEmpty ? undefined : makePipe();
    if (this.#copy) setPipeSize(this.#copy[0], PIPE_BYTES);
    for (const stream of streams) makeFifo(join(dir, `${stream}.fifo`));
    const openPipe = (path: string) => {
      const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
      setPipeSize(fd, PIPE_BYTES);
      return fd;
    };
    this.#pipes = { stdout: openPipe(this.stdoutFifo), stderr: openPipe(this.stderrFifo) };
    const openSource = (name: LogSource): Source => {
      const file = openSync(join(dir, name), constants.O_RDWR | constants.O_CREAT, 0o600);
      return { file, size: fstatSync(file).size };
    };
    this.#sources = { stdout: openSource("stdout"), stderr: openSource("stderr"), system: openSource("system") };
    this.#index = openSync(join(dir, "index"), constants.O_RDWR | constants.O_CREAT, 0o600);
    this.#null = openSync("/dev/null", "w");
    this.#recover();
    LogCapture.#ticker.add(this.#tick);
  }

  get stdoutFifo() {
    return join(this.#dir, "stdout.fifo");
  }
  get stderrFifo() {
    return join(this.#dir, "stderr.fifo");
  }
  get ended() {
    return this.#ended;
  }
  get truncated() {
    return this.#dropped.stdout + this.#dropped.stderr > 0;
  }

  /** Adds a line of the agent's own. */
  system(message: string): void {
    const source = this.#sources.system;
    if (this.#closed || this.#ended || source.size > SYSTEM_LIMIT_BYTES) return;
    const bytes = Buffer.from(`${message.replaceAll("\n", " ")}\n`);
    writeSync(source.file, bytes, 0, bytes.length, source.size);
    this.#append("system", bytes.length);
    this.emit("data");
  }

  /** Moves what the pipes hold; true when there was something. */
  drain(): boolean {
    if (this.#closed) return false;
    let moved = false;
    for (const stream of streams) moved = this.#take(stream) || moved;
    if (moved) this.emit("data");
    return moved;
  }

  /** Takes what is left in the pipes and closes the log with its last record. */
  finish(end: Omit<LogEnd, "bytes" | "dropped">): void {
    this.#finishing = true;
    while (this.drain());
    if (this.truncated) {
      const { stdout, stderr } = this.#dropped;
      this.system(
        `${LIMIT_MARK} of ${this.#limit} bytes: dropped ${stdout} bytes of stdout, ${stderr} bytes of stderr`,
      );
    }
    const bytes = { stdout: this.#sources.stdout.size, stderr: this.#sources.stderr.size };
    const path = join(this.#dir, "end.json");
    writeFileSync(`${path}.new`, JSON.stringify({ ...end, bytes, dropped: this.#dropped } satisfies LogEnd), {
      mode: 0o600,
    });
    renameSync(`${path}.new`, path);
    this.#ended = true;
    this.emit("end");
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    LogCapture.#ticker.remove(this.#tick);
    const sources = Object.values(this.#sources).map((source) => source.file);
    for (const fd of [...Object.values(this.#pipes), ...sources, ...(this.#copy ?? []), this.#index, this.#null])
      closeSync(fd);
  }

  #take(stream: Stream): boolean {
    if (this.#copy) return this.#takeMasked(stream, this.#copy);
    const source = this.#sources[stream];
    let moved = 0;
    // One round takes at most a full pipe, so that a fast writer cannot keep the event loop.
    while (moved < PIPE_BYTES) {
      const room = this.#limit - this.#sources.stdout.size - this.#sources.stderr.size;
      if (room <= 0) return this.#drop(stream) || moved > 0;
      const count = splicePipe(this.#pipes[stream], source.file, source.size, Math.min(room, PIPE_BYTES));
      if (count === 0) break;
      this.#append(stream, count);
      moved += count;
    }
    return moved > 0;
  }

  #takeMasked(stream: Stream, [read, write]: [number, number]): boolean {
    const copied = teePipe(this.#pipes[stream], write, PIPE_BYTES);
    if (copied === 0) return false;
    const piece = Buffer.alloc(copied);
    for (let at = 0; at < copied; ) at += readSync(read, piece, at, copied - at, null);
    const { shown, taken } = this.#mask.apply(piece, this.#finishing);
    if (taken === 0) return false;
    const source = this.#sources[stream];
    const room = Math.max(0, this.#limit - this.#sources.stdout.size - this.#sources.stderr.size);
    const kept = shown.subarray(0, room);
    if (kept.length > 0) {
      writeSync(source.file, kept, 0, kept.length, source.size);
      this.#append(stream, kept.length);
    }
    for (let left = taken; left > 0; ) left -= splicePipe(this.#pipes[stream], this.#null, 0, left);
    if (kept.length < shown.length) this.#noteDropped(stream, shown.length - kept.length);
    return true;
  }

  #drop(stream: Stream): boolean {
    const count = splicePipe(this.#pipes[stream], this.#null, 0, PIPE_BYTES);
    if (count === 0) return false;
    this.#noteDropped(stream, count);
    return true;
  }

  #noteDropped(stream: Stream, count: number): void {
    if (!this.truncated) this.system(`${LIMIT_MARK} of ${this.#limit} bytes reached: further output is dropped`);
    this.#dropped[stream] += count;
    writeFileSync(join(this.#dir, "dropped.json"), JSON.stringify(this.#dropped));
  }

  #append(source: LogSource, length: number): void {
    const { size } = this.#sources[source];
    const record = encodeRecord({ time: Date.now(), source, offset: size, length });
    writeSync(this.#index, record, 0, RECORD_BYTES, this.#indexSize);
    this.#indexSize += RECORD_BYTES;
    this.#sources[source].size += length;
  }

  /** Completes the index of a log whose process was killed between moving bytes and noting them. */
  #recover(): void {
    this.#indexSize = Math.floor(fstatSync(this.#index).size / RECORD_BYTES) * RECORD_BYTES;
    ftruncateSync(this.#index, this.#indexSize);
    const indexed: Record<LogSource, number> = { stdout: 0, stderr: 0, system: 0 };
    const buffer = Buffer.alloc(RECORD_BYTES * 1024);
    for (let at = 0; at < this.#indexSize; ) {
      const read = readSync(this.#index, buffer, 0, buffer.length, at);
      for (let offset = 0; offset + RECORD_BYTES <= read; offset += RECORD_BYTES) {
        const record: IndexRecord = decodeRecord(buffer, offset);
        indexed[record.source] = record.offset + record.length;
      }
      at += read;
    }
    for (const source of ["stdout", "stderr", "system"] as const) {
      const { size } = this.#sources[source];
      this.#sources[source].size = indexed[source];
      if (size > indexed[source]) this.#append(source, size - indexed[source]);
    }
    try {
      this.#dropped = JSON.parse(readFileSync(join(this.#dir, "dropped.json"), "utf8"));
    } catch {
      // nothing was dropped, or the count was being written: then the least that is known is none
    }
  }
}
