import { setTimeout as delay } from "node:timers/promises";
import type { ClientChannel, ExecOptions } from "ssh2";
import { Connection, type GuestAddress, GuestError, type Started } from "./connection.ts";

/** How long a command of ours may take in a machine, `ms`. */
const COMMAND_MS = 20_000;
/** Most that is read of the answer to a command of ours, `bytes` */
const ANSWER_BYTES = 1 << 20;
/** How long it may take until a machine that is up takes another connection, `ms`. */
const CONNECT_MS = 30_000;
const POLL_MS = 20;
/** Most connections for commands, and how many of them stay open when nobody uses them. */
const [MOST, KEPT] = [100, 4];

/**
 * The SSH connections to a machine, over which everything goes but scripts.
 *
 * A connection has one command at a time, and none has both commands and ports: where a command ends while another channel of the
 * same connection is only half open, dropbear before 2024.86 closes that channel, or breaks off altogether (its issue 321).
 */
export class Guest {
  readonly #at: GuestAddress;
  readonly #isUp: () => boolean;
  readonly #all = new Set<Connection>();
  readonly #free: Connection[] = [];
  /** how many wait for one */
  #wanted = 0;
  /** one handshake after another: of strangers dropbear lets few in */
  #opening: Promise<unknown> = Promise.resolve();
  #ports: Promise<Connection> | undefined;
  #closed = false;

  private constructor(at: GuestAddress, isUp: () => boolean) {
    [this.#at, this.#isUp] = [at, isUp];
  }

  /** It was closed on this side; a connection that breaks is replaced by another. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Tries until `deadline` (of performance.now()), as long as `isUp`. Throws GuestError. */
  static async connect(at: GuestAddress, isUp: () => boolean, deadline: number): Promise<Guest> {
    const guest = new Guest(at, isUp);
    guest.#free.push(await guest.#open(deadline));
    return guest;
  }

  /** Runs one of our commands and answers what it said. Throws GuestError with its last words. */
  async run(command: string, input = "", timeoutMs = COMMAND_MS): Promise<string> {
    const { channel, code } = await this.exec(command, {}, timeoutMs);
    const out: Buffer[] = [];
    let size = 0;
    const { promise, resolve, reject } = Promise.withResolvers<number | null>();
    const timer = setTimeout(() => reject(new GuestError(`the machine does not answer (${command})`)), timeoutMs);
    const keep = (chunk: Buffer) => {
      size += chunk.length;
      if (size > ANSWER_BYTES) reject(new GuestError(`the machine says too much (${command})`));
      else out.push(chunk);
    };
    channel.on("data", keep);
    channel.stderr.on("data", keep);
    channel.on("close", () => resolve(code));
    channel.on("error", () => undefined);
    channel.end(input);
    try {
      const status = await promise;
      const said = Buffer.concat(out).toString("utf8");
      if (status !== 0) throw new GuestError(`${command} failed in the machine: ${said.trim().slice(-500) || status}`);
      return said;
    } finally {
      clearTimeout(timer);
      channel.destroy();
    }
  }

  /** Throws GuestError. */
  async exec(command: string, options: ExecOptions = {}, timeoutMs = COMMAND_MS): Promise<Started> {
    const connection = await this.#take();
    try {
      const started = await connection.exec(command, options, timeoutMs);
      const ended = new Promise((resolve) => started.channel.once("close", resolve));
      // Without its exit code something of the command may go on, which would end in the middle of the next.
      void Promise.all([started.code, ended]).then(([code]) => this.#leave(connection, code !== null));
      return started;
    } catch (error) {
      this.#leave(connection, false);
      throw error;
    }
  }

  /** Throws as `net.connect` fails. */
  async dial(port: number): Promise<ClientChannel> {
    const before = await this.#ports?.catch(() => undefined);
    if (!before || before.closed) this.#ports = this.#open(performance.now() + CONNECT_MS);
    return (await (this.#ports as Promise<Connection>)).dial(port, COMMAND_MS);
  }

  /** At once. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#all) connection.close();
  }

  /** In order; resolves when the machine has heard of it. */
  async end(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#all].map((connection) => connection.end()));
  }

  async #take(): Promise<Connection> {
    const free = this.#takeFree();
    if (free) return free;
    this.#wanted++;
    const next = this.#opening.then(() => this.#next()).finally(() => this.#wanted--);
    this.#opening = next.catch(() => undefined);
    return next;
  }

  async #next(): Promise<Connection> {
    for (const deadline = performance.now() + CONNECT_MS; ; await delay(POLL_MS)) {
      const free = this.#takeFree();
      if (free) return free;
      if (this.#closed || this.#all.size < MOST) return this.#open(deadline);
      if (performance.now() > deadline) throw new GuestError(`${MOST} commands of others go on in the machine`);
    }
  }

  #takeFree(): Connection | undefined {
    for (let free = this.#free.pop(); free; free = this.#free.pop()) if (!free.closed) return free;
    return undefined;
  }

  #leave(connection: Connection, clean: boolean): void {
    if (clean && !connection.closed && this.#free.length < KEPT + this.#wanted) this.#free.push(connection);
    else connection.close();
  }

  async #open(deadline: number): Promise<Connection> {
    if (this.#closed) throw new GuestError("the connection to the machine has ended");
    const connection = await Connection.open(this.#at, this.#isUp, deadline);
    if (this.#closed) {
      connection.close();
      throw new GuestError("the connection to the machine has ended");
    }
    this.#all.add(connection);
    void connection.ended.then(() => this.#all.delete(connection));
    return connection;
  }
}
