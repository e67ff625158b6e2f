/** URLs into real sandboxes, with clients that were not made for it. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type IncomingMessage, type RequestOptions, request } from "node:http";
import { pipeline } from "node:stream/promises";
import { run } from "@mags/kit";
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Daemon, untilEmpty } from "../harness/daemon.ts";

/** Size of the large bodies; with twice as much the daemon grows by no more (130 MB, of garbage that waits). */
const LARGE = Number(process.env.MAGS_TEST_BODY_BYTES ?? 768 * 1024 * 1024);
/** What the whole daemon may grow by while a large body passes: far less than the body, more than garbage that waits. */
const GROWTH = 320 * 1024 * 1024;

let daemon: Daemon;
let mags: Mags;
let app: { id: string; url: string };

/** A server of all kinds, in the sandbox. */
const APP = `
const http = require("http");
const crypto = require("crypto");
const server = http.createServer((req, res) => {
  if (req.url.startsWith("/bytes/")) {
    let left = Number(req.url.slice(7));
    const chunk = Buffer.alloc(65536, "x");
    const more = () => {
      while (left > 0) {
        const piece = left < chunk.length ? chunk.subarray(0, left) : chunk;
        left -= piece.length;
        if (!res.write(piece)) return res.once("drain", more);
      }
      res.end();
    };
    return more();
  }
  if (req.url === "/sink") {
    let bytes = 0;
    req.on("data", (chunk) => { bytes += chunk.length; });
    return req.on("end", () => res.end(String(bytes)));
  }
  if (req.url === "/hang") return void res.write("started\\n");
  res.end("hello from " + req.headers.host);
});
server.on("upgrade", (req, socket) => {
  const accept = crypto.createHash("sha1").update(req.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: " + accept + "\\r\\n\\r\\n");
  socket.write(Buffer.from([0x81, 2, 104, 105]));
  socket.on("data", (data) => { if ((data[0] & 15) === 8) socket.end(); });
  socket.on("error", () => {});
});
server.listen(8080);
`;

const APP_SCRIPT = `cat > app.js <<'END'\n${APP}\nEND\nexec node app.js`;

beforeAll(async () => {
  daemon = await Daemon.start();
  mags = await daemon.client();
  app = await serving(APP_SCRIPT);
});
afterAll(() => daemon.remove());

/** curl knows what is below .localhost. */
const curl = (...args: string[]) => run("curl", ["-sS", "--max-time", "60", ...args]);

/** A persistent job and the URL of a port of it. */
async function serving(script: string, port = 8080): Promise<{ id: string; url: string }> {
  const { requestId } = await mags.run(script, { persistent: true });
  return { id: requestId, url: (await mags.url(requestId, port)).url };
}

/** A request to the URL, for a client that does not know what is below .localhost. */
function call(url: string, options: RequestOptions = {}) {
  const { host, pathname } = new URL(url);
  return request({ host: "127.0.0.1", port: daemon.appsPort, path: pathname, headers: { host }, ...options });
}

/** An answer that has begun and does not end. */
async function hang(url: string): Promise<IncomingMessage> {
  const open = call(`${url}/hang`);
  const answered = once(open, "response");
  open.end();
  const [response] = await answered;
  await once(response, "data");
  return response;
}

async function memory(): Promise<number> {
  const status = await readFile(`/proc/${daemon.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

it("the URL answers what a server in the sandbox serves, also one that starts a moment later", async () => {
  const { id, url } = await serving(
    "mkdir /www; echo hello > /www/index.html; sleep 2; exec python3 -m http.server 8080 -d /www",
  );
  expect(url).toMatch(new RegExp(`^http://[a-z0-9-]+\\.apps\\.localhost:${daemon.appsPort}$`));
  expect(await curl(url)).toBe("hello");
  expect(await mags.status(id)).toMatchObject({ url });
  expect(await curl("-o", "/dev/null", "-w", "%{http_code}", `${url.replace("://", "://x")}`)).toBe("404");
  await mags.stop(id);
  await untilEmpty(async () => ((await mags.status(id)).status === "stopped" ? [] : ["job"]));
  // What was known of the address is believed for a second.
  await untilEmpty(async () => ((await curl("-i", url)).startsWith("HTTP/1.1 404 ") ? [] : ["address"]));
  expect(await curl(url)).toContain("the sandbox behind this address has ended");
});

it("a port that nobody listens on is named", async () => {
  const { id, url } = await serving("sleep 600", 9999);
  expect(await curl("-i", url)).toMatch(/^HTTP\/1\.1 502 [\s\S]*nothing listens on port 9999 of the sandbox/);
  await mags.stop(id);
});

it("mags url prints it, and what to show at its door", async () => {
  const { stdout, stderr } = await daemon.cli(["url", app.id, "8081", "--access", "token"]);
  const token = /^token (\S+);/.exec(stderr)?.[1];
  expect(await curl("-o", "/dev/null", "-w", "%{http_code}", stdout.trim())).toBe("401");
  expect(await curl("-H", `X-Mags-Token: ${token}`, stdout.trim())).toContain("nothing listens on port 8081");
  await daemon.cli(["url", "alias", "add", "my-shop", "my-workspace"]);
  expect((await daemon.cli(["url", "alias", "list"])).stdout).toContain("my-workspace");
  expect((await daemon.cli(["url", "alias", "remove", "my-shop"])).stdout).toBe("deleted my-shop\n");
});

it("an alias leads to the job that has the workspace, and to the next one", async () => {
  const { url } = await mags.urlAliasCreate("shop", "shop-data");
  expect(await curl(url)).toContain("no sandbox has the workspace");
  for (const text of ["one", "two"]) {
    const script = `echo ${text} > /srv/index.html; cd /srv && exec python3 -m http.server 8080`;
    const wanted = { script, persistent: true, workspace_id: "shop-data" };
    const requestId = (await daemon.http("POST", "/api/v1/mags-jobs", wanted)).body.request_id;
    await untilEmpty(async () => ((await curl(url)) === text ? [] : [text]));
    await mags.stop(requestId);
    await untilEmpty(async () => ((await mags.status(requestId)).status === "stopped" ? [] : ["job"]));
  }
});

describe("large bodies pass without being held in memory", { timeout: 300_000 }, () => {
  it("down", async () => {
    const before = await memory();
    let most = 0;
    let bytes = 0;
    const response = await new Promise<AsyncIterable<Buffer>>((resolve) =>
      call(`${app.url}/bytes/${LARGE}`).on("response", resolve).end(),
    );
    for await (const chunk of response) {
      if (bytes % (16 * 1024 * 1024) > (bytes += chunk.length) % (16 * 1024 * 1024))
        most = Math.max(most, await memory());
    }
    expect(bytes).toBe(LARGE);
    expect(most - before).toBeLessThan(GROWTH);
  });

  it("up", async () => {
    const before = await memory();
    let most = 0;
    async function* body() {
      const chunk = Buffer.alloc(64 * 1024, "y");
      for (let sent = 0; sent < LARGE; sent += chunk.length) {
        if (sent % (16 * 1024 * 1024) === 0) most = Math.max(most, await memory());
        yield chunk;
      }
    }
    const upload = call(`${app.url}/sink`, { method: "POST" });
    const answered = once(upload, "response");
    await pipeline(body, upload);
    const [response] = await answered;
    let text = "";
    for await (const chunk of response) text += chunk;
    expect(text).toBe(String(LARGE));
    expect(most - before).toBeLessThan(GROWTH);
  });
});

it("a restart ends 50 open connections, and afterwards all works again", async () => {
  const { host } = new URL(app.url);
  const sockets = Array.from(
    { length: 25 },
    () => new WebSocket(`ws://127.0.0.1:${daemon.appsPort}/`, { headers: { host } }),
  );
  await Promise.all(sockets.map((socket) => once(socket, "message")));
  const hanging = await Promise.all(Array.from({ length: 25 }, () => hang(app.url)));
  const cut = hanging.map((response) => once(response, "error").then(([error]) => error.code));
  const closed = sockets.map((socket) => once(socket, "close"));
  await daemon.stop();
  await Promise.all(closed);
  expect(new Set(await Promise.all(cut))).toEqual(new Set(["ECONNRESET"]));
  await daemon.start();
  expect(await curl(app.url)).toBe(`hello from ${host}`);
  const again = new WebSocket(`ws://127.0.0.1:${daemon.appsPort}/`, { headers: { host } });
  expect(String((await once(again, "message"))[0])).toBe("hi");
  again.terminate();
});

it("a server killed with -9 is back for its visitors as well", async () => {
  await daemon.kill();
  await daemon.start();
  expect(await curl(app.url)).toContain("hello");
});

it("a sandbox that is stopped in the middle of an answer cuts it off", async () => {
  const { url, id } = await serving(APP_SCRIPT);
  const broken = once(await hang(url), "error");
  await mags.stop(id);
  expect((await broken)[0].code).toBe("ECONNRESET");
});
