import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

export type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void | Promise<void>;

export interface WireServer extends AsyncDisposable {
  url: string;
  port: number;
  /** every request so far, as `GET /path?query` */
  seen: { line: string; headers: IncomingMessage["headers"]; body: string }[];
}

/** A real HTTP server that answers as the test says; `port` 0 takes a free one. */
export async function serve(handler: Handler, port = 0): Promise<WireServer> {
  const seen: WireServer["seen"] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    seen.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
    await handler(request, response, body);
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const address = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

export const refusal = (code: string, message: string, hint: string) => ({ message, error: { code, message, hint } });

/** The `number`th line of a log on stdout, each ten bytes long, as the wire has it. */
export const logEntry = (number: number) => ({
  timestamp: "2026-01-02T03:04:05.000Z",
  level: "info",
  source: "stdout",
  message: `line ${String(number).padStart(4, "0")}`,
  offset: number * 10,
  bytes: 10,
  newline: true,
});

export const logEnd = {
  status: "completed",
  exit_code: 0,
  signal: null,
  reason: "exited",
  bytes: { stdout: 0, stderr: 0 },
  dropped: { stdout: 0, stderr: 0 },
};

export const entryEvent = (number: number) =>
  `event: entry\nid: ${(number + 1) * 10}.0.0\ndata: ${JSON.stringify(logEntry(number))}\n\n`;
export const endEvent = `event: end\ndata: ${JSON.stringify(logEnd)}\n\n`;

/** What an iteration yields, put together; the compiler's library has no Array.fromAsync yet. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
