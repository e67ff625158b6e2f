/**
 * Port 9222: Chromium's DevTools for clients that come through a URL. Chromium answers only to the host names of its own
 * machine and tells addresses of this machine; here requests get such a name and answers the one that the client used.
 * A WebSocket at `/` is the browser's own, whose path changes with each start.
 */
const http = require("node:http");
const net = require("node:net");

/** A browser that is just starting is waited for this often, at 100 ms each. */
const ATTEMPTS = 250;
const CHROMIUM = { host: "127.0.0.1", port: 9223 };

const server = http.createServer(async (request, response) => {
  await browserPath().catch(() => undefined);
  const headers = { ...request.headers, host: "localhost", connection: "close" };
  const asked = http.request({ ...CHROMIUM, method: request.method, path: request.url, headers }, async (answer) => {
    const body = (await textOf(answer)).replaceAll(/wss?:\/\/localhost(:\d+)?\//g, `${outside(request)}/`);
    response.writeHead(answer.statusCode, { "content-type": answer.headers["content-type"] ?? "text/plain" });
    response.end(body);
  });
  asked.on("error", () => response.writeHead(502).end("the browser is not up\n"));
  request.pipe(asked);
});

server.on("upgrade", async (request, client, head) => {
  client.on("error", () => client.destroy());
  try {
    const path = /^\/(\?|$)/.test(request.url) ? await browserPath() : request.url;
    const chromium = net.connect(CHROMIUM, () => {
      const lines = Object.entries({ ...request.headers, host: "localhost" }).map(
        ([name, value]) => `${name}: ${value}\r\n`,
      );
      chromium.write(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
      chromium.write(head);
      chromium.pipe(client).pipe(chromium);
    });
    chromium.on("error", () => client.destroy());
    client.on("close", () => chromium.destroy());
    chromium.on("close", () => client.destroy());
  } catch {
    client.end("HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n");
  }
});

server.listen(9222, "127.0.0.1");

const outside = ({ headers }) => `${headers["x-forwarded-proto"] === "https" ? "wss" : "ws"}://${headers.host}`;

async function textOf(stream) {
  stream.setEncoding("utf8");
  let text = "";
  for await (const piece of stream) text += piece;
  return text;
}

/** Path of the browser's WebSocket; waits for a browser that is just starting. */
async function browserPath() {
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await fetch(`http://${CHROMIUM.host}:${CHROMIUM.port}/json/version`);
      return new URL((await answer.json()).webSocketDebuggerUrl).pathname;
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
