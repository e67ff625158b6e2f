import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { run } from "@mags/kit";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const refusal = (code: string) => ({
  message: `it is ${code}`,
  error: { code, message: `it is ${code}`, hint: "Wait." },
});
const json =
  (status: number, body: unknown, headers = {}): Answer =>
  (_, response) =>
    void response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));

/** What can go wrong with an answer; `<url>/<name>` as the API's address is a server that does it each time. */
const faults = {
  "server-error": json(500, { ...refusal("internal"), error: { ...refusal("internal").error, request_id: "r-1" } }),
  "bad-gateway": (_, response) =>
    void response.writeHead(502, { "content-type": "text/html" }).end("<h1>Bad Gateway</h1>"),
  unavailable: json(503, refusal("unavailable")),
  "too-many": json(429, refusal("rate_limited"), { "retry-after": "60" }),
  unauthorized: json(401, refusal("unauthorized")),
  "not-json": (_, response) => void response.writeHead(200, { "content-type": "text/html" }).end("<h1>Welcome</h1>"),
  "no-object": json(200, [1, 2]),
  null: json(200, null),
  cut: (request, response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
    response.write('{"jobs": [', () => request.socket.destroy());
  },
  reset: ({ socket }) => void socket.resetAndDestroy(),
  silent: () => undefined,
  endless: (_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    const drip = setInterval(() => response.write(" "), 100);
    response.once("close", () => clearInterval(drip));
  },
} satisfies Record<string, Answer>;
export type Fault = keyof typeof faults;

export interface FaultyServer extends AsyncDisposable {
  /** the API's address of a server with this fault */
  url(fault: Fault): string;
  /** one that speaks TLS with a certificate that nobody trusts */
  untrusted: string;
  /** requests so far, as `fault GET /path` */
  seen: string[];
}

/** A real server on the loopback address that answers wrongly, in the way that its address says. */
export async function faultyServer(): Promise<FaultyServer> {
  const seen: string[] = [];
  const answer: RequestListener = (request, response) => {
    const [, fault = "", path] = /^\/([\w-]+)(.*)$/.exec(request.url ?? "") ?? [];
    seen.push(`${fault} ${request.method} ${path}`);
    request.resume().once("error", () => undefined);
    if (fault in faults) faults[fault as Fault](request, response);
    else response.writeHead(404).end();
  };
  const plain = createServer(answer);
  const secure = createTlsServer(await certificate(), answer);
  for (const server of [plain, secure])
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const port = (server: typeof plain | typeof secure) => (server.address() as AddressInfo).port;
  return {
    url: (fault) => `http://127.0.0.1:${port(plain)}/${fault}`,
    untrusted: `https://127.0.0.1:${port(secure)}/server-error`,
    seen,
    async [Symbol.asyncDispose]() {
      for (const server of [plain, secure]) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
}

/** Signed by itself. */
async function certificate(): Promise<{ key: string; cert: string }> {
  const dir = await mkdtemp("/tmp/mags-cert-");
  try {
    const [key, cert] = [join(dir, "key.pem"), join(dir, "cert.pem")];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
    const made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", key, "-out", cert];
    await run("openssl", [...made, ...subject]);
    return { key: await readFile(key, "utf8"), cert: await readFile(cert, "utf8") };
  } finally {
    await rm(dir, { recursive: true });
  }
}
