import { createHash } from "node:crypto";
import { type AgentOptions, Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { NodeHttpHandler } from "@smithy/node-http-handler";

/** The object's metadata that holds the SHA-256 of its body in hex. */
export const SHA256_METADATA = "mags-sha256";
const SHA256_HEADER = `x-amz-meta-${SHA256_METADATA}`;

export interface TransportOptions {
  connectTimeoutMs: number;
  idleTimeoutMs: number;
  maxSockets: number;
}

/** What came is not what was stored. The SDK tries again on errors that have `$retryable`. */
class DamagedBody extends Error {
  override readonly name = "DamagedBody";
  readonly $retryable = {};
}

/**
 * Answers of S3 as a whole: the body has arrived and is what was stored before the answer is passed on. The SDK by
 * itself tries again only until it has the headers, and leaves a body that breaks off or changed on its way to the
 * caller; here it is inside of the SDK's retries.
 */
export class WholeAnswers extends NodeHttpHandler {
  constructor({ connectTimeoutMs, idleTimeoutMs, maxSockets }: TransportOptions) {
    const agent: AgentOptions = { keepAlive: true, maxSockets };
    super({
      httpAgent: withConnectTimeout(new HttpAgent(agent), "connect", connectTimeoutMs),
      httpsAgent: withConnectTimeout(new HttpsAgent(agent), "secureConnect", connectTimeoutMs),
      socketTimeout: idleTimeoutMs,
    });
  }

  override async handle(...args: Parameters<NodeHttpHandler["handle"]>): ReturnType<NodeHttpHandler["handle"]> {
    const { response } = await super.handle(...args);
    const body = await buffer(response.body as Readable);
    const wanted = response.headers[SHA256_HEADER];
    if (args[0].method === "GET" && response.statusCode === 200 && wanted !== undefined) {
      const found = createHash("sha256").update(body).digest("hex");
      if (found !== wanted) throw new DamagedBody(`the body has the SHA-256 ${found} and not ${wanted}`);
    }
    response.body = Readable.from([body]);
    return { response };
  }
}

/**
 * Limits how long connecting may take. The handler's own limit counts from the request on, also while it waits for one
 * of the sockets, and so fails where there is just much to do.
 */
function withConnectTimeout<A extends HttpAgent>(agent: A, connected: string, ms: number): A {
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (...args) => {
    const socket = connect(...args) as Socket;
    const timer = setTimeout(() => {
      const error = new Error(`no connection within ${ms} ms`);
      socket.destroy(Object.assign(error, { code: "ETIMEDOUT" }));
    }, ms);
    for (const event of [connected, "close"]) socket.once(event, () => clearTimeout(timer));
    return socket;
  };
  return agent;
}
