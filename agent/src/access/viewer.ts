import { once } from "node:events";
import type { Duplex } from "node:stream";
import { type ControlFrame, dataHeader, encodeFrame, type SessionExit } from "@mags/protocol";

/** How long a caller may take to close its side after the exit, `ms`. */
const LINGER_MS = 10_000;

/** The connection of a session's caller, as the session writes to it. */
export class Viewer {
  readonly #connection: Duplex;
  readonly #window: number;
  readonly #closed = new AbortController();
  #underWay = 0;
  #credited: () => void = () => undefined;
  #waiting = 0;

  constructor(connection: Duplex, window = Number.POSITIVE_INFINITY) {
    this.#connection = connection;
    this.#window = window;
    connection.once("close", () => {
      this.#closed.abort();
      this.#credited();
    });
  }

  /** True while output waits for the caller. */
  get isSlow(): boolean {
    return this.#waiting > 0;
  }

  /** Sends output and waits until more may follow, or nobody is there any more. */
  async send(type: "stdout" | "stderr", data: Uint8Array): Promise<void> {
    this.write(type, data);
    this.#waiting++;
    while (this.#underWay >= this.#window && !this.#closed.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#credited = resolve;
      });
    }
    if (this.#connection.writableNeedDrain && !this.#closed.signal.aborted)
      await once(this.#connection, "drain", { signal: this.#closed.signal }).catch(() => undefined);
    this.#waiting--;
  }

  /** Sends output at once. */
  write(type: "stdout" | "stderr", data: Uint8Array): void {
    if (!this.#connection.writable) return;
    this.#underWay += data.length;
    this.#connection.cork();
    this.#connection.write(dataHeader(type, data.length));
    this.#connection.write(data);
    this.#connection.uncork();
  }

  say(frame: ControlFrame): void {
    if (this.#connection.writable) this.#connection.write(encodeFrame(frame));
  }

  credit(bytes: number): void {
    this.#underWay -= bytes;
    this.#credited();
  }

  /** The last word. */
  sayExit(exit: Partial<SessionExit>): void {
    if (!this.#connection.writable) return;
    const value = { exit_code: null, signal: null, error: null, timed_out: false, ...exit };
    this.#connection.end(encodeFrame({ type: "exit", value }));
    // Closed at once, with input still coming in, the exit could be lost on its way.
    setTimeout(() => this.#connection.destroy(), LINGER_MS).unref();
  }
}
