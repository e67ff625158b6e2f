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
const sources: LogSource[] = [...streams, "system"];
interface Source {
  file: number;
  /** what is in the file */
  size: number;
  /** what of that is in the index */
  indexed: number;
}

/**
 * Takes the output of a job from two FIFOs into its log files.
 *
 * Whoever writes to the FIFOs holds them open for reading too, so nothing breaks while no capture is there: the writer
 * waits once a pipe is full. Each piece is moved by splice(2) from pipe to file; what a killed agent had moved but not
 * yet indexed is found as the unindexed tail of a file, and goes into the index when the log is opened again.
 *
 * Where values have to be masked, what a pipe holds is looked at in a copy (tee(2)) and taken out only once it is written: so
 * the beginning of a value waits in the pipe for its end, and outlives this process there.
 *
 * Output beyond the limit is taken and dropped, so that a script never stalls on its log; how much is counted.
 *
 * While the disk is full what is printed stays in the pipes, and a script that fills them waits; it goes on when there is room.
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
  readonly #failed: (error: Error) => void;
  #failing = false;
  readonly #tick = () => this.#look();

  /** Opens the log in `dir`, or goes on with one that an earlier process left. `failed` is told when it begins to fail. */
  static open(options: {
    dir: string;
    limitBytes: number;
    mask?: string[];
    failed?: (error: Error) => void;
  }): LogCapture {
    const { dir, limitBytes, mask = [], failed = () => undefined } = options;
    return new LogCapture(dir, limitBytes, new Mask(mask), failed);
  }

  private constructor(dir: string, limit: number, mask: Mask, failed: (error: Error) => void) {
    super();
    this.setMaxListeners(0);
    this.#failed = failed;
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
      return { file, size: fstatSync(file).size, indexed: 0 };
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

  /** Adds a line of the agent's own; where it cannot be written it is left out. */
  system(message: string): void {
    const source = this.#sources.system;
    if (this.#closed || this.#ended || source.size > SYSTEM_LIMIT_BYTES) return;
    try {
      this.#write("system", Buffer.from(`${message.replaceAll("\n", " ")}\n`));
      this.#note("system");
    } catch {
      return;
    }
    this.emit("data");
  }

  /** Moves what the pipes hold; true when there was something. Throws on a full disk: what was not moved is still there. */
  drain(): boolean {
    if (this.#closed) return false;
    const before = this.#indexSize;
    let moved = false;
    try {
      for (const source of sources) this.#note(source);
      for (const stream of streams) moved = this.#take(stream) || moved;
    } finally {
      if (this.#indexSize > before) this.emit("data");
    }
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

  #look(): boolean {
    try {
      const moved = this.drain();
      this.#failing = false;
      return moved;
    } catch (error) {
      if (!this.#failing) this.#failed(error as Error);
      this.#failing = true;
      return false;
    }
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
      source.size += count;
      this.#note(stream);
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
    const room = Math.max(0, this.#limit - this.#sources.stdout.size - this.#sources.stderr.size);
    const kept = shown.subarray(0, room);
    this.#write(stream, kept);
    for (let left = taken; left > 0; ) left -= splicePipe(this.#pipes[stream], this.#null, 0, left);
    // Not before: what fails then would be written once more.
    this.#note(stream);
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

  /** All of it, or nothing. */
  #write(name: LogSource, bytes: Buffer): void {
    const source = this.#sources[name];
    try {
      writeWhole(source.file, bytes, source.size);
    } catch (error) {
      ftruncateSync(source.file, source.size);
      throw error;
    }
    source.size += bytes.length;
  }

  /** Puts into the index what was moved since the last record. */
  #note(name: LogSource): void {
    const source = this.#sources[name];
    const [offset, length] = [source.indexed, source.size - source.indexed];
    if (length === 0) return;
    writeWhole(this.#index, encodeRecord({ time: Date.now(), source: name, offset, length }), this.#indexSize);
    this.#indexSize += RECORD_BYTES;
    source.indexed = source.size;
  }

  /** Finds what is not in the index, because the process before was killed between moving bytes and noting them. */
  #recover(): void {
    this.#indexSize = Math.floor(fstatSync(this.#index).size / RECORD_BYTES) * RECORD_BYTES;
    ftruncateSync(this.#index, this.#indexSize);
    const buffer = Buffer.alloc(RECORD_BYTES * 1024);
    for (let at = 0; at < this.#indexSize; ) {
      const read = readSync(this.#index, buffer, 0, buffer.length, at);
      for (let offset = 0; offset + RECORD_BYTES <= read; offset += RECORD_BYTES) {
        const record: IndexRecord = decodeRecord(buffer, offset);
        this.#sources[record.source].indexed = record.offset + record.length;
      }
      at += read;
    }
    // A file that lost its end with the power is shorter than its index says.
    for (const source of Object.values(this.#sources)) source.size = Math.max(source.size, source.indexed);
    try {
      this.#dropped = JSON.parse(readFileSync(join(this.#dir, "dropped.json"), "utf8"));
    } catch {
      // nothing was dropped, or the count was being written: then the least that is known is none
    }
  }
}

/** A write to a disk that is just full ends early, the next one fails. */
function writeWhole(file: number, bytes: Buffer, at: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done, at + done);
}
