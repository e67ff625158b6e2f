import { Agent, type AgentOptions } from "node:http";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { type Dialer, isClosed } from "../dial.ts";
import type { Door, Wake } from "../wake.ts";

/** How long a port that nobody listens on is tried again, `ms`: a server inside may still be starting. */
const PATIENCE_MS = 5000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 500;
/** How long an unused connection to a sandbox is kept, `ms`: short, because open ones count as use of the sandbox. */
const IDLE_MS = 4000;
/** Unused connections kept, of one port of a sandbox and of all. */
const IDLE_PER_PORT = 64;
const IDLE_TOTAL = 1024;

/** Connections to ports of sandboxes, kept and used again. Requests carry their door in the option `door`. */
export class SandboxConnections extends Agent {
  readonly #wake: Wake;
  readonly #dialer: Dialer;

  constructor(wake: Wake, dialer: Dialer, { keep }: { keep: boolean }) {
    super({
      keepAlive: keep,
      timeout: IDLE_MS,
      maxFreeSockets: IDLE_PER_PORT,
      maxTotalSockets: Number.POSITIVE_INFINITY,
      scheduling: "lifo",
    });
    this.#wake = wake;
    this.#dialer = dialer;
  }

  /** Free connections above the total limit go, oldest port first. */
  trim(): void {
    let spare = Object.values(this.freeSockets).reduce((sum, sockets) => sum + (sockets?.length ?? 0), 0) - IDLE_TOTAL;
    for (const sockets of Object.values(this.freeSockets)) {
      for (const socket of sockets ?? []) if (spare-- > 0) socket.destroy();
    }
  }

  override getName(options?: AgentOptions): string {
    const { job, port } = doorOf(options);
    return `${job}:${port}`;
  }

  override createConnection(
    options: AgentOptions,
    done: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    const { job, port } = doorOf(options);
    dialPatiently(() => this.#wake.reach(job, (door) => this.#dialer.dial(door, port as number))).then(
      (socket) => done(null, socket),
      (error: Error) => done(error, undefined as never),
    );
    return undefined;
  }
}

const doorOf = (options: object | undefined) => (options as { door: Door }).door;

/** Throws ApiError, port_closed when nobody listened for a few seconds. */
async function dialPatiently(dial: () => Promise<Duplex>): Promise<Duplex> {
  const deadline = Date.now() + PATIENCE_MS;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      return await dial();
    } catch (error) {
      if (!isClosed(error) || Date.now() + pause >= deadline) throw error;
      await delay(pause);
    }
  }
}
