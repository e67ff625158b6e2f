import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { type Dialer, isClosed } from "../dial.ts";
import type { Door, Wake } from "../wake.ts";
import { SandboxConnection } from "./connection.ts";

/** How long a port that nobody listens on is tried again, `ms`: a server inside may still be starting. */
const PATIENCE_MS = 5000;
const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 500;
/** How long an unused connection to a sandbox is kept, `ms`: short, because open ones count as use of the sandbox. */
const IDLE_MS = 4000;
const SWEEP_MS = 1000;
/** Unused connections kept, of one port of a sandbox and of all. */
const IDLE_PER_PORT = 64;
const IDLE_TOTAL = 1024;

interface Idle {
  connection: SandboxConnection;
  since: number;
}

/** Connections to ports of sandboxes, kept for a while and used again, the last used first. */
export class SandboxConnections {
  readonly #wake: Wake;
  readonly #dialer: Dialer;
  readonly #all = new Set<SandboxConnection>();
  /** oldest first, by job, port and where it was */
  readonly #idle = new Map<string, Idle[]>();
  readonly #sweeping = setInterval(() => this.#sweep(), SWEEP_MS).unref();

  constructor(wake: Wake, dialer: Dialer) {
    this.#wake = wake;
    this.#dialer = dialer;
  }

  /** One that is there and unused, or undefined. */
  kept(door: Door): SandboxConnection | undefined {
    const list = this.#idle.get(keyOf(door));
    for (let last = list?.pop(); last; last = list?.pop()) if (last.connection.isFree) return last.connection;
    return undefined;
  }

  /** A new one. Throws NoDoor; ApiError, port_closed when nobody listened for a few seconds. */
  async open(door: Door): Promise<SandboxConnection> {
    const { job, port } = door;
    const socket = await dialPatiently(() =>
      this.#wake.reach(job, (found) => this.#dialer.dial(found, port as number)),
    );
    const connection = new SandboxConnection(socket);
    this.#all.add(connection);
    connection.onFree = () => this.#keep(keyOf(door), connection);
    return connection;
  }

  close(): void {
    clearInterval(this.#sweeping);
    for (const { socket } of this.#all) socket.destroy();
  }

  #keep(key: string, connection: SandboxConnection): void {
    if (!connection.isFree) {
      this.#all.delete(connection);
      return;
    }
    const list = this.#idle.get(key) ?? [];
    this.#idle.set(key, list);
    if (list.length < IDLE_PER_PORT) list.push({ connection, since: performance.now() });
    else connection.destroy();
  }

  #sweep(): void {
    const oldest = performance.now() - IDLE_MS;
    let spare = [...this.#idle.values()].reduce((sum, list) => sum + list.length, 0) - IDLE_TOTAL;
    for (const [key, list] of this.#idle) {
      const kept = list.filter(({ connection, since }) => {
        if (connection.isFree && since > oldest && spare-- <= 0) return true;
        connection.destroy();
        return false;
      });
      if (kept.length > 0) this.#idle.set(key, kept);
      else this.#idle.delete(key);
    }
  }
}

/** A sandbox that has moved to another node is another one. */
const keyOf = ({ job, port, address }: Door) => `${job}:${port}@${address}`;

async function dialPatiently(dial: () => Promise<Socket>): Promise<Socket> {
  const deadline = Date.now() + PATIENCE_MS;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 1.15, LONGEST_PAUSE_MS)) {
    try {
      return await dial();
    } catch (error) {
      if (!isClosed(error) || Date.now() + pause >= deadline) throw error;
      await delay(pause);
    }
  }
}
