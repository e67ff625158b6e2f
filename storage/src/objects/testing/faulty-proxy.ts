import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** What happens to one request on its way. */
export type Fault =
  /** answered by the proxy, the server never sees it */
  | { kind: "status"; status: number; code?: string }
  /** the connection ends while the request is sent */
  | { kind: "cut request" }
  /** the server does it, the connection ends before the answer */
  | { kind: "lose answer" }
  /** the connection ends after half of the answer's body */
  | { kind: "cut answer" }
  /** half of the body, with headers that call it the whole */
  | { kind: "shorten answer" }
  /** nothing is answered, ever */
  | { kind: "stall" }
  /** half of the body, then nothing */
  | { kind: "stall answer" }
  /** one bit in the middle of the body is another */
  | { kind: "flip request" }
  | { kind: "flip answer" };

/** Stands between a client and the server at `target` and does harm to requests, in order, until none is left to do. */
export class FaultyProxy {
  /** taken from the front, one for a request */
  faults: Fault[] = [];
  /** methods of all requests that came */
  readonly requests: string[] = [];
  readonly #server = createServer((request, response) => this.#serve(request, response));
  readonly #target: URL;

  private constructor(target: string) {
    this.#target = new URL(target);
  }

  static async start(target: string): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** connections that clients have open */
  connections(): Promise<number> {
    return new Promise((resolve, reject) =>
      this.#server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    );
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests.push(request.method ?? "");
    const fault = this.faults.shift();
    // Both ends may go away at any time here; that is what it is for.
    request.on("error", () => undefined);
    if (fault?.kind === "cut request") return void request.socket.destroy();
    if (fault?.kind === "stall") return;
    const body = await buffer(request).catch(() => undefined);
    if (body === undefined) return;
    if (fault?.kind === "status") {
      const text = fault.code ? `<?xml version="1.0"?><Error><Code>${fault.code}</Code></Error>` : "";
      response.writeHead(fault.status, { "content-type": "application/xml", "content-length": text.length }).end(text);
      return;
    }
    const answer = await this.#forward(request, fault?.kind === "flip request" ? flipped(body) : body);
    const half = answer.body.subarray(0, Math.floor(answer.body.length / 2));
    if (fault?.kind === "lose answer") return void request.socket.destroy();
    const headers = answer.headers;
    if (fault?.kind === "shorten answer") headers["content-length"] = String(half.length);
    response.writeHead(answer.status, headers);
    if (fault?.kind === "cut answer") response.write(half, () => request.socket.destroy());
    else if (fault?.kind === "stall answer") response.write(half);
    else if (fault?.kind === "shorten answer") response.end(half);
    else response.end(fault?.kind === "flip answer" ? flipped(answer.body) : answer.body);
  }

  async #forward(request: IncomingMessage, body: Buffer) {
    const { hostname, port } = this.#target;
    const { method, url: path, headers } = request;
    const forwarded = httpRequest({ hostname, port, method, path, headers, agent: false });
    forwarded.end(body);
    const [answer] = (await once(forwarded, "response")) as [IncomingMessage];
    return { status: answer.statusCode ?? 0, headers: { ...answer.headers }, body: await buffer(answer) };
  }
}

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const middle = Math.floor(copy.length / 2);
  copy[middle] = (copy[middle] ?? 0) ^ 1;
  return copy;
}
