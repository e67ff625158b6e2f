import { MagsError } from "./errors.ts";
import { encodeFrame, type Frame, FrameReader, type SessionExit } from "./frames.ts";
import { type HttpOptions, pause } from "./http.ts";

/** A command to talk to. */
export interface OpenOptions {
  /** a string is run by /bin/sh; a list is a program and its arguments. A login shell by default */
  command?: string | readonly string[] | undefined;
  env?: Record<string, string> | undefined;
  cwd?: string | undefined;
  /** name, or numbers as `uid` or `uid:gid`; root by default */
  user?: string | undefined;
  /** killed after so long, `seconds` */
  timeout?: number | undefined;
  /** in a terminal of this size; it outlives a connection that is cut */
  tty?: { cols: number; rows: number; term?: string } | undefined;
  /** Takes the output as it comes; while it has not resolved, no more than a megabyte follows. */
  onOutput: (source: "stdout" | "stderr", data: Uint8Array) => unknown;
  /** Told when the connection of a terminal is cut, and when it is there again. */
  onConnection?: ((up: boolean) => unknown) | undefined;
}

/** Input and output that may be under way without having been dealt with, `bytes`. */
const STDIN_WINDOW = 256 * 1024;
const OUTPUT_WINDOW = 1024 * 1024;
/** A terminal whose connection is cut is taken up again for so long, `ms`. */
const REATTACH_MS = 60_000;
const REATTACH_PAUSE_MS = 500;

/**
 * A command in a sandbox, over a WebSocket. `exit` rejects with a MagsError when the connection is lost for good; a session
 * in a terminal is first taken up again for a minute, and gets the output that it missed.
 */
export class Session {
  readonly exit: Promise<SessionExit>;
  readonly #exit = Promise.withResolvers<SessionExit>();
  readonly #connect: () => Promise<WebSocket>;
  readonly #options: OpenOptions;
  #socket: WebSocket;
  #id: string | undefined;
  #received = 0;
  #credit = STDIN_WINDOW;
  #credited: () => void = () => undefined;
  #closed = false;

  private constructor(socket: WebSocket, connect: () => Promise<WebSocket>, options: OpenOptions) {
    this.#connect = connect;
    this.#options = options;
    this.#socket = socket;
    this.exit = this.#exit.promise;
    this.exit.catch(() => undefined);
    this.#listen(socket);
    this.#send({ type: "open", value: toOpen(options) });
  }

  /** Throws MagsError of code `unreachable` when no connection comes about. */
  static async open(http: HttpOptions, id: string, options: OpenOptions): Promise<Session> {
    const connect = () => openSocket(http, `/mags-jobs/${encodeURIComponent(id)}/terminal`);
    return new Session(await connect(), connect, options);
  }

  /** Gives the command input; resolves when more may follow. */
  async write(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length && !this.#closed; ) {
      if (this.#credit === 0) {
        await new Promise<void>((resolve) => {
          this.#credited = resolve;
        });
        continue;
      }
      const piece = data.subarray(at, at + this.#credit);
      at += piece.length;
      this.#credit -= piece.length;
      this.#send({ type: "stdin", data: piece });
    }
  }

  /** The end of the input. */
  end(): void {
    this.#send({ type: "stdin_end", value: {} });
  }

  resize(cols: number, rows: number): void {
    this.#send({ type: "resize", value: { cols, rows } });
  }

  /** Sends a signal, such as SIGINT, to all of its processes. */
  kill(signal: string): void {
    this.#send({ type: "signal", value: { signal } });
  }

  /** Leaves; the command gets SIGHUP, or goes on for five minutes where it has a terminal. */
  close(): void {
    this.#settle(new MagsError("the session was left", { code: "aborted" }));
    this.#socket.close();
  }

  #send(frame: Frame): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(encodeFrame(frame));
  }

  #listen(socket: WebSocket): void {
    const reader = new FrameReader();
    // One after another: output is dealt with in order, and before the exit.
    let queue: Promise<unknown> = Promise.resolve();
    socket.onmessage = ({ data }) => {
      queue = queue
        .then(() => this.#read(reader, new Uint8Array(data as ArrayBuffer)))
        .catch((error) => {
          this.#settle(error);
          socket.close();
        });
    };
    socket.onclose = () => void queue.then(() => this.#lost(socket));
  }

  async #read(reader: FrameReader, bytes: Uint8Array): Promise<void> {
    for (const frame of reader.read(bytes)) {
      if (frame.type === "stdout" || frame.type === "stderr") {
        this.#received += frame.data.length;
        await this.#options.onOutput(frame.type, frame.data);
        this.#send({ type: "credit", value: { bytes: frame.data.length } });
      } else if (frame.type === "credit") {
        this.#credit += frame.value.bytes;
        this.#credited();
      } else if (frame.type === "session") {
        this.#id = frame.value.session;
        this.#received = frame.value.position;
      } else if (frame.type === "exit") this.#settle(frame.value);
    }
  }

  /** Takes the session up again where that is possible. */
  async #lost(socket: WebSocket): Promise<void> {
    const deadline = Date.now() + REATTACH_MS;
    if (!this.#closed && this.#id !== undefined) this.#options.onConnection?.(false);
    while (!this.#closed && this.#socket === socket && this.#id !== undefined && Date.now() < deadline) {
      try {
        this.#socket = await this.#connect();
        this.#listen(this.#socket);
        this.#credit = STDIN_WINDOW;
        this.#credited();
        const value = { session: this.#id, received: this.#received, window: OUTPUT_WINDOW };
        this.#send({ type: "attach", value });
        const { cols, rows } = this.#options.tty ?? {};
        if (cols && rows) this.resize(cols, rows);
        this.#options.onConnection?.(true);
        return;
      } catch {
        await pause(REATTACH_PAUSE_MS);
      }
    }
    if (this.#socket === socket)
      this.#settle(new MagsError("the connection to the sandbox was cut", { code: "unreachable" }));
  }

  #settle(end: SessionExit | MagsError): void {
    this.#closed = true;
    this.#credited();
    if (end instanceof Error) this.#exit.reject(end);
    else this.#exit.resolve(end);
  }
}

function toOpen({ command, env, cwd, user, timeout, tty }: OpenOptions) {
  const argv =
    command === undefined ? ["/bin/sh", "-l"] : typeof command === "string" ? ["/bin/sh", "-c", command] : [...command];
  return { argv, env, cwd, user, timeout, tty, detach: tty !== undefined, window: OUTPUT_WINDOW };
}

function openSocket(http: HttpOptions, path: string): Promise<WebSocket> {
  if (globalThis.WebSocket === undefined)
    throw new MagsError("sessions need WebSockets, which this Node has not", { hint: "Use Node 22 or newer." });
  // A WebSocket sets no headers, so the token goes as a subprotocol.
  const protocols = ["mags.session", ...(http.apiToken ? [`bearer.${http.apiToken}`] : [])];
  const socket = new WebSocket(`${http.apiUrl.replace(/^http/, "ws")}/api/v1${path}`, protocols);
  socket.binaryType = "arraybuffer";
  return new Promise((resolve, reject) => {
    socket.onopen = () => resolve(socket);
    socket.onerror = () => reject(new MagsError(`no session with ${http.apiUrl} came about`, { code: "unreachable" }));
  });
}
