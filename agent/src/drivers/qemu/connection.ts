import { once } from "node:events";
import { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { inNetns, openSocket } from "@mags/kit";
import ssh2, { type Client, type ClientChannel, type ConnectConfig, type ExecOptions } from "ssh2";

/** Port of the machine's SSH server: out of the way of what sandboxes usually listen on. */
export const SSH_PORT = 22022;
const HANDSHAKE_MS = 60_000;
const CONNECT_MS = 2000;
const RETRY_MS = 30;
const WATCH_MS = 250;
/** A machine that says nothing to so many questions is given up, with all that goes on in it. */
const [KEEPALIVE_MS, KEEPALIVES] = [10_000, 9];

/** What could not be done in a machine: its SSH server is gone, or a command of ours failed or took too long. */
export class GuestError extends Error {
  override readonly name = "GuestError";
}

/** A command that runs in a machine, and its exit code; null when the machine has not said it. */
export interface Started {
  channel: ClientChannel;
  code: Promise<number | null>;
}

export interface GuestAddress {
  /** network namespace from which the machine is reached */
  netns: string;
  address: string;
  privateKey: string;
  /** the server's public key in base64; any where it is not known yet */
  hostKey: string | undefined;
}

/** An SSH connection to a machine. What is at its other end is not trusted. */
export class Connection {
  readonly #client: Client;
  readonly #socket: Socket;
  readonly #ended: Promise<unknown>;
  #closed = false;

  private constructor({ client, socket }: Connected, isUp: () => boolean) {
    [this.#client, this.#socket] = [client, socket];
    // Whoever waits for an answer is told at once: a machine that is switched off closes no connection.
    const watch = setInterval(() => isUp() || this.close(), WATCH_MS);
    watch.unref();
    this.#ended = new Promise<void>((resolve) => client.once("close", resolve)).then(() => {
      this.#closed = true;
      clearInterval(watch);
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Resolves when it is closed, by whom ever. */
  get ended(): Promise<unknown> {
    return this.#ended;
  }

  /** Tries until `deadline` (of performance.now()), as long as `isUp`. Throws GuestError. */
  static async open(at: GuestAddress, isUp: () => boolean, deadline: number): Promise<Connection> {
    for (;;) {
      try {
        return new Connection(await handshake(at, isUp), isUp);
      } catch (cause) {
        const left = isUp() ? "" : "the machine has ended";
        if (left || performance.now() > deadline)
          throw new GuestError(`the machine is not reached: ${left || (cause as Error).message}`, { cause });
        await delay(RETRY_MS);
      }
    }
  }

  exec(command: string, options: ExecOptions, timeoutMs: number): Promise<Started> {
    return this.#within(timeoutMs, (done) =>
      this.#client.exec(command, options, (error, channel) => {
        if (error) return done(error, undefined as never);
        // At once: the end may be in the same packet as the beginning.
        const code = new Promise<number | null>((resolve) => {
          channel.once("exit", (status: number | null) => resolve(status ?? null));
          channel.once("close", () => resolve(null));
        });
        done(undefined, { channel, code });
      }),
    );
  }

  /** Throws as `net.connect` fails. */
  async dial(port: number, timeoutMs: number): Promise<ClientChannel> {
    try {
      return await this.#within<ClientChannel>(timeoutMs, (done) =>
        this.#client.forwardOut("127.0.0.1", 0, "127.0.0.1", port, done),
      );
    } catch (cause) {
      if (!/channel open failure/i.test((cause as Error).message)) throw cause;
      throw Object.assign(new Error(`connect ECONNREFUSED 127.0.0.1:${port}`, { cause }), { code: "ECONNREFUSED" });
    }
  }

  /** At once, without a farewell to a machine that may be gone: that would keep its network for minutes. */
  close(): void {
    this.#socket.resetAndDestroy();
    this.#client.destroy();
  }

  /** In order; resolves when the machine has heard of it. */
  async end(): Promise<void> {
    if (this.#closed) return;
    this.#client.end();
    await this.#ended;
  }

  #within<T>(ms: number, action: (done: (error: Error | undefined, value: T) => void) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const gone = () => reject(new GuestError("the connection to the machine has ended"));
      if (this.#closed) return gone();
      const timer = setTimeout(() => settle(() => reject(new GuestError("the machine does not answer"))), ms);
      const settle = (how: () => void) => {
        clearTimeout(timer);
        this.#client.off("close", gone);
        how();
      };
      this.#client.once("close", gone);
      try {
        action((error, value) => settle(() => (error ? reject(error) : resolve(value))));
      } catch (error) {
        settle(() => reject(error));
      }
    });
  }
}

interface Connected {
  client: Client;
  socket: Socket;
}

async function handshake(at: GuestAddress, isUp: () => boolean): Promise<Connected> {
  const { netns, address, privateKey, hostKey } = at;
  const socket = new Socket({ fd: inNetns(netns, () => openSocket("tcp")) });
  const client = new ssh2.Client();
  // It may say a second one while it is given up for the first, and one that nobody hears ends the process.
  client.on("error", () => undefined);
  const watch = setInterval(() => isUp() || socket.destroy(), WATCH_MS);
  try {
    socket.connect({ host: address, port: SSH_PORT });
    await once(socket, "connect", { signal: AbortSignal.timeout(CONNECT_MS) });
    socket.setNoDelay(true);
    const config: ConnectConfig = {
      sock: socket,
      username: "root",
      privateKey,
      readyTimeout: HANDSHAKE_MS,
      keepaliveInterval: KEEPALIVE_MS,
      keepaliveCountMax: KEEPALIVES,
      hostVerifier: (key: Buffer) => hostKey === undefined || key.toString("base64") === hostKey,
    };
    client.connect(config);
    const closed = once(client, "close").then(() => {
      throw new GuestError("the machine has closed the connection");
    });
    closed.catch(() => undefined);
    await Promise.race([once(client, "ready"), closed]);
    return { client, socket };
  } catch (error) {
    client.destroy();
    socket.destroy();
    throw error;
  } finally {
    clearInterval(watch);
  }
}
