/** What the tests of the ingress share: a server in place of the sandbox, one in place of the control plane, and raw sockets. */
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { buffer, json } from "node:stream/consumers";
import { createLogger } from "@mags/kit";
import { ApiError, type DoorGuard, type ResolveDoor, type ResolvedDoor } from "@mags/protocol";
import type { Dialer } from "../dial.ts";
import { startIngress } from "../http/index.ts";
import { Wake } from "../wake.ts";

export const HOST = "web-secret.apps.localhost";
const JOB = "00000000-0000-4000-8000-000000000001";

export interface Edge extends AsyncDisposable {
  port: number;
  /** in place of a server in the sandbox; listeners may be added */
  inner: Server;
  /** connections made to the sandbox so far */
  dialled: () => number;
  /** changes what the control plane answers; undefined answers 500 */
  resolve: (answer: (asked: ResolveDoor) => Promise<ResolvedDoor | undefined> | ResolvedDoor | undefined) => void;
  /** changes how the sandbox is reached */
  dial: (dial: Dialer["dial"]) => void;
  url: (path?: string) => string;
}

export const ready = (guard: DoorGuard = { access: "public" }): ResolvedDoor => ({
  state: "ready",
  job: JOB,
  port: 8080,
  guard,
  node: "a",
  address: "http://127.0.0.1:1",
});

export async function startEdge(handler: RequestListener, options: { trustedProxies?: string[] } = {}): Promise<Edge> {
  const inner = createServer({ keepAliveTimeout: 5000 }, handler);
  const innerPort = await listen(inner);
  let resolve: Parameters<Edge["resolve"]>[0] = ({ by, ...asked }) =>
    by === "job" || ("host" in asked && asked.host === HOST)
      ? ready()
      : { state: "none", reason: "there is no such address" };
  const plane = createServer(async (request, response) => {
    const answer = await resolve((await json(request)) as ResolveDoor);
    response.statusCode = answer ? 200 : 500;
    response.end(JSON.stringify(answer ?? {}));
  });
  const planePort = await listen(plane);
  let dialled = 0;
  let dial: Dialer["dial"] = async () => {
    dialled++;
    const socket = connect(innerPort, "127.0.0.1");
    await once(socket, "connect").catch((cause) => {
      throw new ApiError("port_closed", cause.message);
    });
    return socket;
  };
  const logger = createLogger("silent");
  const wake = new Wake({ server: { urls: [`http://127.0.0.1:${planePort}`], token: "node" }, logger });
  const ingress = await startIngress({
    listen: { host: "127.0.0.1", port: 0 },
    wake,
    dialer: {
      dial: (...given) => dial(...given),
      session: async () => {
        throw new ApiError("unavailable", "there are no sessions here");
      },
    },
    trustedProxies: options.trustedProxies ?? [],
    logger,
  });
  return {
    port: ingress.port,
    inner,
    dialled: () => dialled,
    resolve: (answer) => {
      resolve = answer;
    },
    dial: (other) => {
      dial = other;
    },
    url: (path = "/") => `http://${HOST}:${ingress.port}${path}`,
    [Symbol.asyncDispose]: async () => {
      await ingress.close();
      wake.close();
      for (const server of [inner, plane]) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

/** A connection on which bytes are written by hand. */
export async function raw(edge: Edge, text = ""): Promise<Socket> {
  const socket = connect({ port: edge.port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  if (text) socket.write(text, "latin1");
  return socket;
}

/** Writes a request byte for byte and answers everything that comes back until the other side ends. */
export async function exchange(edge: Edge, text: string): Promise<string> {
  const socket = await raw(edge, text);
  const answer = (await buffer(socket).catch(() => Buffer.alloc(0))).toString("latin1");
  socket.destroy();
  return answer;
}

/** What has come so far, once it holds `wanted`. */
export async function until(socket: Socket, wanted: string): Promise<string> {
  let seen = "";
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    seen += (chunk as Buffer).toString("latin1");
    if (seen.includes(wanted)) return seen;
  }
  throw new Error(`the connection ended before ${JSON.stringify(wanted)}: ${seen}`);
}
