import type { Socket } from "node:net";
import { PassThrough, type Readable, Writable } from "node:stream";
import { drained } from "@mags/kit";
import {
  dataHeader,
  encodeFrame,
  FrameDecoder,
  type OpenSession,
  type SessionExit,
  type SessionFrame,
  type SessionOptions,
  STDIN_WINDOW,
} from "@mags/protocol";

/** A command in a sandbox, at the other end of a connection to its agent. Its streams must be read. */
export class RemoteSession {
  /** its end is the end of the command's input */
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** empty in a terminal */
  readonly stderr: Readable;
  /** Rejects when the connection broke before the end was known. */
  readonly exit: Promise<SessionExit>;
  readonly #socket: Socket;
  readonly #exit = Promise.withResolvers<SessionExit>();
  readonly #output = { stdout: new PassThrough(), stderr: new PassThrough() };
  #credit = STDIN_WINDOW;
  #credited: () => void = () => undefined;

  constructor(socket: Socket, request: SessionOptions) {
    this.#socket = socket;
    this.stdin = new Writable({
      write: (chunk: Buffer, _encoding, done) => void this.#send(chunk).then(() => done(), done),
      final: (done) => {
        this.#write({ type: "stdin_end", value: {} });
        done();
      },
    });
    this.stdin.on("error", () => undefined);
    this.stdout = this.#output.stdout;
    this.stderr = this.#output.stderr;
    this.exit = this.#exit.promise;
    this.exit.catch(() => undefined);
    this.#write({ type: "open", value: request as OpenSession });
    void this.#receive();
  }

  resize(cols: number, rows: number): void {
    this.#write({ type: "resize", value: { cols, rows } });
  }

  /** Sends a signal, such as SIGINT, to every process of the session. */
  kill(signal: string): void {
    this.#write({ type: "signal", value: { signal } });
  }

  /** Leaves; the command gets SIGHUP. */
  hangUp(): void {
    this.#socket.destroy();
  }

  #write(frame: SessionFrame): void {
    if (this.#socket.writable) this.#socket.write(encodeFrame(frame));
  }

  /** Sends input as far as there is credit, and waits for more. */
  async #send(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      if (!this.#socket.writable) return;
      if (this.#credit === 0) {
        await new Promise<void>((resolve) => {
          this.#credited = resolve;
        });
        continue;
      }
      const piece = chunk.subarray(at, at + this.#credit);
      at += piece.length;
      this.#credit -= piece.length;
      this.#socket.cork();
      this.#socket.write(dataHeader("stdin", piece.length));
      this.#socket.write(piece);
      this.#socket.uncork();
    }
  }

  async #receive(): Promise<void> {
    const decoder = new FrameDecoder();
    try {
      for await (const chunk of this.#socket) for (const frame of decoder.push(chunk)) await this.#take(frame);
      throw new Error("the connection ended before the command did");
    } catch (cause) {
      this.#exit.reject(new Error(`the connection to the sandbox broke: ${(cause as Error).message}`, { cause }));
    } finally {
      this.#socket.destroy();
      this.#credited();
      for (const stream of Object.values(this.#output)) stream.end();
    }
  }

  async #take(frame: SessionFrame): Promise<void> {
    if (frame.type === "stdout" || frame.type === "stderr") {
      const stream = this.#output[frame.type];
      // A reader that is slow, or gone, must not fill our memory; one that is gone has no use for more.
      if (stream.destroyed) return;
      stream.write(frame.data);
      await drained(stream);
    } else if (frame.type === "credit") {
      this.#credit += frame.value.bytes;
      this.#credited();
    } else if (frame.type === "exit") this.#exit.resolve(frame.value);
  }
}
