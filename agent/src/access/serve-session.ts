import type { Duplex } from "node:stream";
import {
  type AttachSession,
  FrameDecoder,
  FrameError,
  type OpenSession,
  type SessionFrame,
  STDIN_WINDOW,
} from "@mags/protocol";
import { type Session, SessionRefused } from "../sandbox/driver.ts";
import type { LiveSession } from "./live-session.ts";
import { Viewer } from "./viewer.ts";

/** Input that was passed on is acknowledged in pieces of at least this size, `bytes`. */
const CREDIT_BYTES = STDIN_WINDOW / 4;

/** Where sessions come from; both throw SessionRefused with what the caller is to be told. */
export interface Sessions {
  open(request: OpenSession): Promise<LiveSession>;
  attach(request: AttachSession): LiveSession;
}

/**
 * Speaks the frames of a session on a connection until both have let go. A caller that has not said within `beginMs` what it wants is
 * sent away: it would keep the machine awake for ever. Never throws.
 */
export async function serveSession(connection: Duplex, sessions: Sessions, beginMs: number): Promise<void> {
  const decoder = new FrameDecoder();
  let call: Call | undefined;
  const deadline = setTimeout(() => connection.destroy(), beginMs);
  try {
    for await (const chunk of connection.iterator({ destroyOnReturn: false })) {
      for (const frame of decoder.push(chunk)) {
        clearTimeout(deadline);
        if (call) call.take(frame);
        else call = await begin(frame, connection, sessions);
      }
    }
  } catch (error) {
    const told = error instanceof FrameError || error instanceof SessionRefused;
    const message = (error as Error).message;
    if (!connection.destroyed)
      (call?.viewer ?? new Viewer(connection)).sayExit({ error: told ? message : `the session broke: ${message}` });
  } finally {
    clearTimeout(deadline);
    await call?.live.detach(call.viewer);
  }
}

async function begin(frame: SessionFrame, connection: Duplex, sessions: Sessions): Promise<Call> {
  if (frame.type === "open") {
    const live = await sessions.open(frame.value);
    return new Call(live, new Viewer(connection, frame.value.window), 0);
  }
  if (frame.type === "attach") {
    const live = sessions.attach(frame.value);
    return new Call(live, new Viewer(connection, frame.value.window), frame.value.received);
  }
  throw new FrameError("a session begins with open or attach");
}

/** One connection to a session: what the caller sends. */
class Call {
  readonly live: LiveSession;
  readonly viewer: Viewer;
  /** input under way to the command, and of it what has arrived and is not acknowledged yet, `bytes` */
  #underWay = 0;
  #passedOn = 0;

  constructor(live: LiveSession, viewer: Viewer, position: number) {
    this.live = live;
    this.viewer = viewer;
    live.attach(viewer, position);
  }

  take(frame: SessionFrame): void {
    const { session } = this.live;
    if (frame.type === "stdin") this.#input(session, frame.data);
    else if (frame.type === "stdin_end") session.stdin.end();
    else if (frame.type === "credit") this.viewer.credit(frame.value.bytes);
    else if (frame.type === "resize") session.resize(frame.value.cols, frame.value.rows);
    else if (frame.type === "signal") void session.kill(frame.value.signal as NodeJS.Signals).catch(() => undefined);
    else throw new FrameError(`${frame.type} is not for the caller to send here`);
  }

  #input(session: Session, data: Uint8Array): void {
    this.#underWay += data.length;
    if (this.#underWay > STDIN_WINDOW) throw new FrameError("more input was sent than there is credit for");
    // A command that has closed its input gets none; its caller goes on all the same.
    if (session.stdin.writable) session.stdin.write(data, () => this.#acknowledge(data.length));
    else this.#acknowledge(data.length);
  }

  #acknowledge(bytes: number): void {
    this.#passedOn += bytes;
    if (this.#passedOn < CREDIT_BYTES) return;
    this.#underWay -= this.#passedOn;
    this.viewer.say({ type: "credit", value: { bytes: this.#passedOn } });
    this.#passedOn = 0;
  }
}
