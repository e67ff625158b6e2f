import { randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import { setTimeout as delay, setImmediate } from "node:timers/promises";
import { DETACHED_MS, REPLAY_BYTES, type SessionExit } from "@mags/protocol";
import type { Session } from "../sandbox/driver.ts";
import { Replay } from "./replay.ts";
import type { Viewer } from "./viewer.ts";

/**
 * A program left in the background may hold the streams open for ever, so output that comes after the end of the command
 * is waited for only as long as there is some within this time, `ms`.
 */
const QUIET_MS = 100;

/** A session and who looks at it: one caller at a time, or for a while none where it was opened to be detached. */
export class LiveSession {
  readonly id = randomUUID();
  readonly session: Session;
  /** Resolves when nothing of it is left to be seen. */
  readonly gone: Promise<void>;
  readonly #replay: Replay | undefined;
  readonly #forget = Promise.withResolvers<void>();
  #viewer: Viewer | undefined;
  #exit: SessionExit | undefined;
  #lastOutput = 0;
  #alone: NodeJS.Timeout | undefined;

  constructor(session: Session, options: { detach: boolean; timeout?: number | undefined }) {
    this.session = session;
    this.#replay = options.detach ? new Replay(REPLAY_BYTES) : undefined;
    this.gone = this.#forget.promise;
    void this.#run(options.timeout);
  }

  /** Shows it to a caller, from `position` of the output on; one that had it before is sent away. */
  attach(viewer: Viewer, position: number): void {
    clearTimeout(this.#alone);
    this.#viewer?.sayExit({ error: "the session was taken up by another connection" });
    this.#viewer = viewer;
    if (this.#replay) {
      const missed = this.#replay.from(position);
      viewer.say({ type: "session", value: { session: this.id, position: missed.position } });
      for (const piece of missed.pieces) viewer.write("stdout", piece);
    }
    if (this.#exit) this.#end(viewer, this.#exit);
  }

  /** The caller's connection has closed. */
  async detach(viewer: Viewer): Promise<void> {
    if (this.#viewer !== viewer) return;
    this.#viewer = undefined;
    if (!this.#replay) await this.hangUp();
    else this.#alone = setTimeout(() => void this.hangUp(), DETACHED_MS).unref();
  }

  async hangUp(): Promise<void> {
    this.#forget.resolve();
    await this.session.hangUp();
  }

  async #run(timeout: number | undefined): Promise<void> {
    let timedOut = false;
    const kill = () => {
      timedOut = true;
      void this.session.kill("SIGKILL").catch(() => undefined);
    };
    const timer = timeout === undefined ? undefined : setTimeout(kill, timeout * 1000);
    const { stdout, stderr } = this.session;
    const sent = Promise.all([this.#send("stdout", stdout), stderr ? this.#send("stderr", stderr) : undefined]);
    const end = await this.session.exit;
    clearTimeout(timer);
    await Promise.race([sent, this.#quiet()]);
    this.#exit = { ...end, timed_out: timedOut };
    if (this.#viewer) this.#end(this.#viewer, this.#exit);
  }

  #end(viewer: Viewer, exit: SessionExit): void {
    viewer.sayExit(exit);
    this.#forget.resolve();
  }

  async #send(type: "stdout" | "stderr", stream: Readable): Promise<void> {
    try {
      for await (const chunk of stream) {
        this.#lastOutput = performance.now();
        this.#replay?.push(chunk);
        await this.#viewer?.send(type, chunk);
        this.#lastOutput = performance.now();
      }
    } catch {
      // the caller left, and the command was hung up
    }
  }

  /** Resolves when nothing more has come for a while. */
  async #quiet(): Promise<void> {
    this.#lastOutput = performance.now();
    for (;;) {
      await delay(QUIET_MS / 4);
      // On a busy machine timers come first; let what has arrived meanwhile be seen.
      await setImmediate();
      await setImmediate();
      if (!this.#viewer?.isSlow && performance.now() - this.#lastOutput > QUIET_MS) return;
    }
  }
}
