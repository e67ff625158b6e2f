import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { AllowEntry } from "@mags/protocol";
import { type Answer, decode, encode, type Packet, RECURSION_DESIRED } from "dns-packet";

export interface Found {
  address: string;
  port: number | undefined;
  seconds: number;
}

export interface ResolverOptions {
  allow: readonly AllowEntry[];
  /** asked in turn, port 53 */
  upstream: readonly string[];
  /** makes a socket of the host's network, bound to an address where one is given */
  open(kind: "udp" | "tcp", address?: string): number;
  /** the host's address that the sandbox is to ask */
  address: string;
  /** Opens the way to what is about to be answered. */
  learn(found: Found[]): Promise<void>;
}

/** Programs remember an answer a little longer than they should, `s`. */
const GRACE_SECONDS = 60;
const MAX_SECONDS = 24 * 3600;
/** How long an upstream may take, and how long a connection may be silent, `ms` */
const UPSTREAM_MS = 2500;
const SILENCE_MS = 10_000;
/** Most questions at a time; more are left unanswered, and asked again. */
const MAX_OPEN = 64;
const UDP_BYTES = 1232;
const RCODES = { NXDOMAIN: 3, SERVFAIL: 2, NOTIMP: 4, FORMERR: 1 };

/**
 * The DNS of one sandbox whose policy names hosts: it answers for those names only, with IPv4 addresses, and before it
 * answers the firewall lets the sandbox reach what it is told, for as long as the answer holds.
 */
export class Resolver {
  readonly #options: ResolverOptions;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #connections = new Set<Socket>();
  #open = 0;

  private constructor(options: ResolverOptions) {
    this.#options = options;
    this.#udp = createSocket("udp4");
    this.#udp.on("message", (message, from) => {
      void this.#answer(message).then((answer) => {
        if (answer) this.#udp.send(fitting(answer), from.port, from.address, () => undefined);
      });
    });
    this.#udp.on("error", () => undefined);
    this.#tcp = createServer((socket) => this.#serve(socket));
    this.#tcp.on("error", () => undefined);
  }

  static async open(options: ResolverOptions): Promise<Resolver> {
    const resolver = new Resolver(options);
    const { address } = options;
    resolver.#udp.bind({ fd: options.open("udp", address) });
    resolver.#tcp.listen({ fd: options.open("tcp", address) });
    // A datagram socket that is handed over is bound at once.
    await once(resolver.#tcp, "listening");
    return resolver;
  }

  get ports(): { udpPort: number; tcpPort: number } {
    return { udpPort: this.#udp.address().port, tcpPort: (this.#tcp.address() as { port: number }).port };
  }

  close(): void {
    this.#udp.close();
    this.#tcp.close();
    for (const connection of this.#connections) connection.destroy();
  }

  #serve(socket: Socket): void {
    if (this.#connections.size >= MAX_OPEN) return void socket.destroy();
    this.#connections.add(socket);
    socket.on("error", () => undefined);
    socket.setTimeout(SILENCE_MS, () => socket.destroy());
    socket.once("close", () => this.#connections.delete(socket));
    let held = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      held = Buffer.concat([held, chunk]);
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        const message = held.subarray(2, 2 + held.readUInt16BE(0));
        held = held.subarray(2 + message.length);
        void this.#answer(message).then((answer) => {
          if (!answer) return;
          const length = Buffer.alloc(2);
          length.writeUInt16BE(answer.length);
          socket.write(Buffer.concat([length, answer]));
        });
      }
    });
  }

  /** Undefined for what is no question, and for too many at a time. */
  async #answer(message: Buffer): Promise<Buffer | undefined> {
    const query = read(message);
    if (query?.type !== "query" || this.#open >= MAX_OPEN) return undefined;
    this.#open++;
    try {
      return encode(await this.#resolve(query));
    } catch {
      return encode(reply(query, RCODES.SERVFAIL));
    } finally {
      this.#open--;
    }
  }

  async #resolve(query: Packet): Promise<Packet> {
    const [question, ...more] = query.questions ?? [];
    if (!question || more.length > 0) return reply(query, RCODES.FORMERR);
    const ports = allowedPorts(question.name, this.#options.allow);
    if (ports.length === 0) return reply(query, RCODES.NXDOMAIN);
    // There is no IPv6, and service records would tell addresses that nobody has let through.
    if (question.type !== "A") return reply(query, 0);
    const upstream = await this.#ask(question.name);
    const answers = (upstream.answers ?? []).filter(({ type }) => type === "A" || type === "CNAME");
    const found = answers.flatMap((answer) => (answer.type === "A" ? [answer] : []));
    await this.#options.learn(
      found.flatMap(({ data, ttl = 0 }) =>
        ports.map((port) => ({ address: data, port, seconds: Math.min(ttl, MAX_SECONDS) + GRACE_SECONDS })),
      ),
    );
    return reply(query, rcodeOf(upstream), answers);
  }

  async #ask(name: string): Promise<Packet> {
    let failure: unknown = new Error("there is no resolver to ask");
    for (const address of this.#options.upstream) {
      try {
        return await this.#askOne(address, name);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  async #askOne(address: string, name: string): Promise<Packet> {
    const id = Math.floor(Math.random() * 65_536);
    const message = encode({
      type: "query",
      id,
      flags: RECURSION_DESIRED,
      questions: [{ type: "A", name }],
      additionals: [{ type: "OPT", name: ".", udpPayloadSize: UDP_BYTES, flags: 0, options: [] } as never],
    });
    const socket = createSocket("udp4");
    try {
      // A port of its own for each question, as hard to guess as the id.
      socket.bind({ fd: this.#options.open("udp") });
      const signal = AbortSignal.timeout(UPSTREAM_MS);
      socket.send(message, 53, address);
      for (;;) {
        const [data, from] = (await once(socket, "message", { signal })) as [Buffer, { address: string; port: number }];
        const answer = read(data);
        const fits = answer?.type === "response" && answer.id === id && from.address === address && from.port === 53;
        if (fits && answer.questions?.[0]?.name.toLowerCase() === name.toLowerCase()) return answer;
      }
    } finally {
      socket.close();
    }
  }
}

/** Ports on which the addresses of a name may be reached, `undefined` for all; none when the name is not allowed. */
export function allowedPorts(name: string, allow: readonly AllowEntry[]): (number | undefined)[] {
  const asked = name.toLowerCase().replace(/\.$/, "");
  const matching = allow.flatMap((entry) => {
    if (!("name" in entry)) return [];
    const matches = entry.below ? asked.endsWith(`.${entry.name}`) : asked === entry.name;
    return matches ? [entry.port] : [];
  });
  return matching.includes(undefined) ? [undefined] : [...new Set(matching)];
}

function read(message: Buffer): Packet | undefined {
  try {
    return decode(message);
  } catch {
    return undefined;
  }
}

const rcodeOf = (packet: Packet): number => (packet.flags ?? 0) & 0xf;

const RECURSION_AVAILABLE = 0x80;

function reply(query: Packet, rcode: number, answers: Answer[] = []): Packet {
  const flags = ((query.flags ?? 0) & RECURSION_DESIRED) | RECURSION_AVAILABLE | rcode;
  return { type: "response", id: query.id, flags, questions: query.questions ?? [], answers };
}

const TRUNCATED = 0x02;

/** An answer as one datagram; one that is too large is to be asked for again by TCP. */
function fitting(answer: Buffer): Buffer {
  if (answer.length <= UDP_BYTES) return answer;
  const { id, flags = 0, questions } = decode(answer);
  const short = encode({ type: "response", id, flags, questions });
  short[2] = (short[2] as number) | TRUNCATED;
  return short;
}
