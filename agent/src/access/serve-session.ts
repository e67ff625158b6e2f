import { once } from "node:events";
import type { Duplex, Readable } from "node:stream";
import { setTimeout as delay, setImmediate } from "node:timers/promises";
import {
  dataHeader,
  encodeFrame,
  FrameDecoder,
  FrameError,
  type OpenSession,
  type SessionExit,
  type SessionFrame,
  STDIN_WINDOW,
} from "@mags/protocol";
import { type Session, SessionRefused } from "../sandbox/driver.ts";

/** Input that was passed on is acknowledged in pieces of at least this size, `bytes`. */
const CREDIT_BYTES = STDIN_WINDOW / 4;
/**
 * A program left in the background may hold the streams open for ever, so output that comes after the end of the command
 * is waited for only as long as there is some within this time, `ms`.
 */
const QUIET_MS = 100;
/** How long a caller may take to close its side after the exit, `ms`. */
const LINGER_MS = 10_000;

/**
 * Speaks the frames of a session on a connection: `start` is called with what the caller wants. A command ends with its
 * connection (it is hung up) and the connection with its command. Never throws.
 */
export async function serveSession(
  connection: Duplex,
  start: (request: OpenSession) => Promise<Session>,
): Promise<void> {
  const decoder = new FrameDecoder();
  let session: Session | undefined;
  let input: Input | undefined;
  try {
    for await (const chunk of connection.iterator({ destroyOnReturn: false })) {
      for (const frame of decoder.push(chunk)) {
        if (frame.type === "open") {
          if (session) throw new FrameError("a session is opened once");
          session = await start(frame.value);
          input = new Input(session, connection);
          void answer(connection, session, frame.value.timeout);
        } else if (session && input) take(frame, session, input);
        else throw new FrameError("a session begins with open");
      }
    }
  } catch (error) {
    if (error instanceof FrameError || error instanceof SessionRefused) sayExit(connection, { error: error.message });
    else if (!connection.destroyed) sayExit(connection, { error: `the session broke: ${(error as Error).message}` });
  } finally {
    await session?.hangUp();
  }
}

function take(frame: SessionFrame, session: Session, input: Input): void {
  if (frame.type === "stdin") input.write(frame.data);
  else if (frame.type === "stdin_end") session.stdin.end();
  else if (frame.type === "resize") session.resize(frame.value.cols, frame.value.rows);
  else if (frame.type === "signal") void session.kill(frame.value.signal as NodeJS.Signals).catch(() => undefined);
  else throw new FrameError(`${frame.type} is not for the caller to send`);
}

/** Input on its way to the command; what has been passed on comes back to the caller as credit. */
class Input {
  readonly #session: Session;
  readonly #connection: Duplex;
  #underWay = 0;
  #passedOn = 0;

  constructor(session: Session, connection: Duplex) {
    this.#session = session;
    this.#connection = connection;
  }

  write(data: Uint8Array): void {
    this.#underWay += data.length;
    if (this.#underWay > STDIN_WINDOW) throw new FrameError("more input was sent than there is credit for");
    // A command that has closed its input gets none; its caller goes on all the same.
    if (this.#session.stdin.writable) this.#session.stdin.write(data, () => this.#acknowledge(data.length));
    else this.#acknowledge(data.length);
  }

  #acknowledge(bytes: number): void {
    this.#passedOn += bytes;
    if (this.#passedOn < CREDIT_BYTES || !this.#connection.writable) return;
    this.#underWay -= this.#passedOn;
    this.#connection.write(encodeFrame({ type: "credit", value: { bytes: this.#passedOn } }));
    this.#passedOn = 0;
  }
}

/** Sends all output and then the exit. */
async function answer(connection: Duplex, session: Session, timeout: number | undefined): Promise<void> {
  let timedOut = false;
  const timer = setTimeout(
    () => {
      timedOut = true;
      void session.kill("SIGKILL").catch(() => undefined);
    },
    (timeout ?? 0) * 1000,
  );
  if (timeout === undefined) clearTimeout(timer);
  const closed = new AbortController();
  connection.once("close", () => closed.abort());
  const output = new Output(connection, closed.signal);
  const sent = Promise.all([
    output.send("stdout", session.stdout),
    session.stderr ? output.send("stderr", session.stderr) : undefined,
  ]);
  const end = await session.exit;
  clearTimeout(timer);
  await Promise.race([sent, output.quiet()]);
  sayExit(connection, { ...end, timed_out: timedOut });
}

class Output {
  readonly #connection: Duplex;
  readonly #closed: AbortSignal;
  #lastAt = performance.now();
  #blocked = 0;

  constructor(connection: Duplex, closed: AbortSignal) {
    this.#connection = connection;
    this.#closed = closed;
  }

  /** Sends a stream at the pace of the connection; resolves at the end of either. */
  async send(type: "stdout" | "stderr", stream: Readable): Promise<void> {
    try {
      for await (const chunk of stream) {
        this.#lastAt = performance.now();
        if (!this.#write(dataHeader(type, chunk.length), chunk)) await this.#drain();
      }
    } catch {
      // the caller left, or the command was hung up
    }
  }

  /** Resolves when nothing more has come for a while. */
  async quiet(): Promise<void> {
    const begin = performance.now();
    while (!this.#closed.aborted) {
      await delay(QUIET_MS / 4);
      // On a busy machine timers come first; let what has arrived meanwhile be seen.
      await setImmediate();
      await setImmediate();
      if (this.#blocked === 0 && performance.now() - Math.max(begin, this.#lastAt) > QUIET_MS) return;
    }
  }

  #write(header: Uint8Array, data: Uint8Array): boolean {
    this.#connection.cork();
    this.#connection.write(header);
    const ready = this.#connection.write(data);
    this.#connection.uncork();
    return ready;
  }

  async #drain(): Promise<void> {
    this.#blocked++;
    await once(this.#connection, "drain", { signal: this.#closed });
    this.#blocked--;
    this.#lastAt = performance.now();
  }
}

function sayExit(connection: Duplex, exit: Partial<SessionExit>): void {
  if (!connection.writable) return;
  const value = { exit_code: null, signal: null, error: null, timed_out: false, ...exit };
  connection.end(encodeFrame({ type: "exit", value }));
  // Closed at once, with input still coming in, the exit could be lost on its way.
  setTimeout(() => connection.destroy(), LINGER_MS).unref();
}
