import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Logger } from "@mags/kit";
import ssh2, { type Connection, type ServerConfig } from "ssh2";
import { Attempts } from "../attempts.ts";
import type { Dialer } from "../dial.ts";
import type { Wake } from "../wake.ts";
import { serveForward } from "./forward.ts";
import { Login } from "./login.ts";
import { type SessionNeeds, serveSession } from "./session.ts";

/** How long a client may take to log in, `ms` */
const LOGIN_MS = 20_000;
const CONNECTIONS = 5000;
const CONNECTIONS_PER_CLIENT = 128;
/** Sessions and forwarded connections that one connection may have open. */
const CHANNELS = 256;
const FAILED_KEYS_A_MINUTE = 60;
/** A client that answers none of so many questions in a row is gone; the time between them in `ms`. */
const KEEP_ALIVE_MS = 15_000;
const KEEP_ALIVES = 4;

/** Ciphers that the processor helps with, before those that it does not. */
const CIPHERS = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr"] as const;

export interface SshOptions {
  listen: { host: string; port: number };
  /** private key in OpenSSH's format */
  hostKey: string;
  wake: Wake;
  dialer: Dialer;
  logger: Logger;
}

/** SSH from outside into sandboxes: the key decides which. Throws Error when the address is taken. */
export async function startSsh(options: SshOptions): Promise<{ port: number; close(): Promise<void> }> {
  const gateway = new SshGateway(options);
  // Sockets are counted before a byte of theirs is read.
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }, (socket) =>
    gateway.take(socket),
  );
  server.maxConnections = CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.listen.port, options.listen.host, resolve);
  });
  const close = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    gateway.close();
    await closed;
  };
  return { port: (server.address() as AddressInfo).port, close };
}

class SshGateway {
  readonly #options: SshOptions;
  readonly #server: ssh2.Server;
  readonly #failed = new Attempts(FAILED_KEYS_A_MINUTE);
  /** open connections by the client's address and port: the library tells of a connection without its socket */
  readonly #sockets = new Map<string, Socket>();
  readonly #perClient = new Map<string, number>();

  constructor(options: SshOptions) {
    this.#options = options;
    const config = {
      hostKeys: [options.hostKey],
      ident: "Mags",
      algorithms: { cipher: [...CIPHERS], compress: ["none"] },
      keepaliveInterval: KEEP_ALIVE_MS,
      keepaliveCountMax: KEEP_ALIVES,
    };
    this.#server = new ssh2.Server(config as unknown as ServerConfig);
    this.#server.on("connection", (client, { ip, port }) => {
      const socket = this.#sockets.get(nameOf(ip, port));
      if (socket) this.#serve(client, socket, ip);
      else client.end();
    });
  }

  /** Takes a new connection; one that is not logged in soon is cut off. */
  take(socket: Socket): void {
    const { remoteAddress = "", remotePort = 0 } = socket;
    const open = this.#perClient.get(remoteAddress) ?? 0;
    if (open >= CONNECTIONS_PER_CLIENT || this.#failed.waitFor(remoteAddress) > 0) {
      socket.destroy();
      return;
    }
    const name = nameOf(remoteAddress, remotePort);
    this.#perClient.set(remoteAddress, open + 1);
    this.#sockets.set(name, socket);
    const tooLate = setTimeout(() => socket.destroy(), LOGIN_MS);
    socket.once("loggedIn", () => clearTimeout(tooLate));
    socket.once("close", () => {
      clearTimeout(tooLate);
      this.#sockets.delete(name);
      const left = (this.#perClient.get(remoteAddress) ?? 1) - 1;
      if (left > 0) this.#perClient.set(remoteAddress, left);
      else this.#perClient.delete(remoteAddress);
    });
    this.#server.injectSocket(socket);
  }

  close(): void {
    for (const socket of this.#sockets.values()) socket.destroy();
  }

  #serve(client: Connection, connection: Socket, address: string): void {
    const { wake, dialer, logger } = this.#options;
    const login = new Login(wake, this.#failed, address);
    // Whatever a client sends that is no SSH ends its connection and nothing else.
    client.on("error", (error) => logger.debug({ err: error.message }, "an SSH connection failed"));
    client.on("authentication", (context) => {
      login.judge(context).then(
        (verdict) => {
          if (verdict === "disconnect") client.end();
          else if (verdict !== "again") enter(verdict.job);
        },
        () => client.end(),
      );
    });
    const enter = (job: string) => {
      connection.emit("loggedIn");
      // Whoever logs in is about to want it.
      wake.open({ by: "job", job }).catch(() => undefined);
      serveChannels(client, { reach: (go) => wake.reach(job, go), dialer, connection });
    };
  }
}

function serveChannels(client: Connection, needs: SessionNeeds): void {
  let open = 0;
  const admit = (reject: () => void): boolean => {
    if (open >= CHANNELS) reject();
    return open < CHANNELS;
  };
  client.on("session", (accept, reject) => {
    if (!admit(reject)) return;
    open++;
    const session = accept();
    session.once("close", () => open--);
    serveSession(session, needs);
  });
  client.on("tcpip", (accept, reject, request) => {
    if (!admit(reject)) return;
    open++;
    // A connection that either end breaks off is no failure of ours.
    serveForward(request, accept, reject, needs)
      .catch(() => undefined)
      .finally(() => open--);
  });
}

const nameOf = (address: string, port: number) => `${address} ${port}`;
