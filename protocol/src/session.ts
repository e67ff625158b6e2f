/**
 * What a session (a command that somebody talks to) looks like on a connection: frames both ways, each a type (one byte),
 * a length (four bytes, big endian) and so many bytes. `stdin`, `stdout` and `stderr` carry data as it is; the others JSON.
 *
 * The caller sends `open` first, then `stdin`, `stdin_end`, `resize` and `signal`. It may have `STDIN_WINDOW` bytes of
 * input under way and more as `credit` comes back, so that a command that does not read never holds up a signal. The
 * other side answers with `stdout`, `stderr` and, last, `exit`. A caller whose connection has no back-pressure of its own, as
 * a browser's WebSocket, names a `window` for the output in the same way and sends `credit` for what it has dealt with.
 *
 * A connection that closes before the exit hangs the session up; one that was opened with `detach` goes on for a while
 * without it. Its name comes first, as `session`; a later connection takes it up by `attach`, is told by `session` at which
 * position the output goes on, and gets what was missed as far as it is still there.
 */
import { z } from "zod";

/** Bytes of input that may be under way at first. */
export const STDIN_WINDOW = 256 * 1024;
/** Longest frame, `bytes`. */
export const MAX_FRAME_BYTES = 8 * 1024 * 1024;
const HEADER_BYTES = 5;

/** Output of a detached session that is kept for the next connection, `bytes`. */
export const REPLAY_BYTES = 256 * 1024;
/** How long a detached session goes on without a connection, `ms`. */
export const DETACHED_MS = 5 * 60_000;

const Window = z
  .number()
  .int()
  .min(4096)
  .max(64 * 1024 * 1024)
  .optional()
  .describe("Bytes of output that may be under way without credit; as many as the connection takes by default");
const Columns = z.number().int().min(1).max(10_000);
export const TerminalSize = z.object({ cols: Columns, rows: Columns });

const Text = z.string().refine((text) => !text.includes("\0"), "must not contain a NUL character");

/** What to run and how. */
export const OpenSession = z.object({
  argv: z.array(Text).min(1, "must not be empty").max(4096),
  /** over the job's own environment */
  env: z.record(z.string().regex(/^[^=\0]+$/, "is no variable name"), Text).default({}),
  cwd: Text.optional().describe("Home of the user by default"),
  user: Text.max(64).optional().describe("Name, or numbers as uid or uid:gid; root by default"),
  tty: TerminalSize.extend({ term: Text.max(64).default("xterm") }).optional(),
  /** killed after so long, `seconds` */
  timeout: z
    .number()
    .positive()
    .max(24 * 3600)
    .optional(),
  detach: z.boolean().default(false).describe("Goes on without a connection for a while; for terminals"),
  window: Window,
});
export type OpenSession = z.infer<typeof OpenSession>;
/** The same as the caller writes it, with what may be left out left out. */
export type SessionOptions = z.input<typeof OpenSession>;

/** Takes up a session that was opened with `detach`. */
export const AttachSession = z.object({
  session: z.uuid(),
  received: z.number().int().min(0).default(0).describe("Bytes of output that are known already"),
  window: Window,
});
export type AttachSession = z.infer<typeof AttachSession>;

/** How a session ended. `error`: it could not be started, and why. */
export const SessionExit = z.object({
  exit_code: z.number().int().nullable(),
  signal: z.string().nullable(),
  error: z.string().nullable(),
  timed_out: z.boolean(),
});
export type SessionExit = z.infer<typeof SessionExit>;

const control = {
  open: OpenSession,
  stdin_end: z.object({}),
  resize: TerminalSize,
  signal: z.object({ signal: z.string().regex(/^SIG[A-Z0-9]{1,12}$/, "is no signal") }),
  credit: z.object({ bytes: z.number().int().min(1) }),
  exit: SessionExit,
  attach: AttachSession,
  session: z.object({ session: z.uuid(), position: z.number().int() }),
};
type Control = typeof control;
type ControlType = keyof Control;
type DataType = "stdin" | "stdout" | "stderr";

/** On the wire a frame's type is its position here. */
const types = [
  "open",
  "stdin",
  "stdin_end",
  "resize",
  "signal",
  "stdout",
  "stderr",
  "credit",
  "exit",
  "attach",
  "session",
] as const;
const dataTypes: ReadonlySet<string> = new Set<DataType>(["stdin", "stdout", "stderr"]);

export type ControlFrame = { [T in ControlType]: { type: T; value: z.infer<Control[T]> } }[ControlType];
export interface DataFrame {
  type: DataType;
  data: Uint8Array;
}
export type SessionFrame = ControlFrame | DataFrame;

/** What came is no session; the message says why. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** The header that goes before `length` bytes of data. */
export function dataHeader(type: DataType, length: number): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  header[0] = types.indexOf(type);
  new DataView(header.buffer).setUint32(1, length);
  return header;
}

/** A frame as bytes. Data is copied; where that counts, send `dataHeader` and then the data. */
export function encodeFrame(frame: SessionFrame): Uint8Array {
  const body = "data" in frame ? frame.data : new TextEncoder().encode(JSON.stringify(frame.value));
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  bytes[0] = types.indexOf(frame.type);
  new DataView(bytes.buffer).setUint32(1, body.length);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

/**
 * Takes bytes as they come and gives frames. Data is passed on in the pieces in which it came, without copying it or
 * waiting for the rest of its frame; only control frames are put together.
 */
export class FrameDecoder {
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerBytes = 0;
  #type: (typeof types)[number] = "open";
  #left = 0;
  #body = new Uint8Array(0);

  /** Throws FrameError; nothing can be decoded after that. */
  *push(chunk: Uint8Array): Generator<SessionFrame> {
    for (let at = 0; at < chunk.length; ) {
      if (this.#headerBytes < HEADER_BYTES) {
        this.#header[this.#headerBytes++] = chunk[at++] as number;
        if (this.#headerBytes < HEADER_BYTES) continue;
        this.#begin();
      }
      const piece = chunk.subarray(at, at + this.#left);
      at += piece.length;
      this.#left -= piece.length;
      if (dataTypes.has(this.#type)) {
        if (piece.length > 0) yield { type: this.#type as DataType, data: piece };
      } else {
        this.#body.set(piece, this.#body.length - this.#left - piece.length);
        if (this.#left === 0) yield this.#control(this.#type as ControlType);
      }
      if (this.#left === 0) this.#headerBytes = 0;
    }
  }

  #begin(): void {
    const [code = 0] = this.#header;
    const type = types[code];
    if (type === undefined) throw new FrameError(`there is no frame of type ${code}`);
    this.#type = type;
    this.#left = new DataView(this.#header.buffer).getUint32(1);
    if (this.#left > MAX_FRAME_BYTES) throw new FrameError(`a frame of ${this.#left} bytes is too long`);
    if (!dataTypes.has(type)) this.#body = new Uint8Array(this.#left);
  }

  #control(type: ControlType): ControlFrame {
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(this.#body));
    } catch {
      throw new FrameError(`a frame of type ${type} holds no JSON`);
    }
    const parsed = control[type].safeParse(value);
    if (parsed.success) return { type, value: parsed.data } as ControlFrame;
    const [issue] = parsed.error.issues;
    throw new FrameError(`${type}: ${[issue?.path.join("."), issue?.message].filter(Boolean).join(" ")}`);
  }
}
