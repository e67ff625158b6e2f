/** deploy/Caddyfile, with Debian's Caddy and certificates of an authority of its own. */
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { Agent } from "node:https";
import { join } from "node:path";
import { type Running, run, spawn } from "@mags/kit";
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Daemon, freePorts, untilEmpty } from "../harness/daemon.ts";

const APPS = "apps.example.test";
const API = "mags.example.test";

let daemon: Daemon;
let mags: Mags;
let dir: string;
let caddy: Running;
let port: number;

beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-caddy-");
  const [https, http] = (await freePorts(2)) as [number, number];
  port = https;
  daemon = await Daemon.start({ MAGS_APPS_URL: `https://${APPS}:${port}`, MAGS_TRUSTED_PROXIES: "127.0.0.1" });
  mags = await daemon.client();
  const file = await readFile(new URL("../../deploy/Caddyfile", import.meta.url), "utf8");
  const ours = `{\n\tlocal_certs\n\tskip_install_trust\n\tadmin off\n\thttps_port ${https}\n\thttp_port ${http}\n\tdefault_bind 127.0.0.1\n`;
  await writeFile(join(dir, "Caddyfile"), file.replace(/^\{\n/m, ours));
  caddy = spawn("caddy", ["run", "--config", join(dir, "Caddyfile"), "--adapter", "caddyfile"], {
    env: { ...daemon.env, HOME: dir, XDG_DATA_HOME: dir, MAGS_API_DOMAIN: API, MAGS_APPS_DOMAIN: APPS },
    reject: false,
    all: true,
  });
  await untilEmpty(async () => ((await curl(API, "/healthz").catch(() => "")) === "" ? ["no answer of Caddy"] : []));
});
afterAll(async () => {
  caddy?.kill();
  await caddy;
  await daemon.remove();
  await rm(dir, { recursive: true, force: true });
});

const authority = () => join(dir, "caddy/pki/authorities/local/root.crt");
const curl = (host: string, path: string, ...args: string[]) =>
  run("curl", [
    ...["-sS", "--max-time", "30", "--cacert", authority(), "--resolve", `${host}:${port}:127.0.0.1`],
    ...[`https://${host}:${port}${path}`, ...args],
  ]);

it("serves the API and URLs of sandboxes over TLS, each with a certificate that is made when it is first visited", async () => {
  expect(JSON.parse(await curl(API, "/healthz"))).toMatchObject({});
  const script = `cat > app.py <<'END'
import http.server
class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(self.headers).encode())
http.server.HTTPServer(("", 8080), App).serve_forever()
END
exec python3 app.py`;
  const { requestId } = await mags.run(script, { persistent: true });
  const { url } = await mags.url(requestId);
  expect(url).toMatch(new RegExp(`^https://[a-z0-9-]+\\.${APPS}:${port}$`));
  const { hostname, host } = new URL(url);
  const headers = await curl(hostname, "/", "-H", "X-Forwarded-For: 6.6.6.6");
  expect(headers).toContain(`Host: ${host}`);
  expect(headers).toContain("X-Forwarded-Proto: https");
  expect(headers).toContain("X-Forwarded-For: 127.0.0.1");
  expect(headers).not.toContain("6.6.6.6");
  expect(await curl(hostname, "/", "-o", "/dev/null", "-w", "%{http_version}")).toBe("2");
});

it("no certificate is made for a name that Mags does not know", async () => {
  await expect(curl(`unknown.${APPS}`, "/")).rejects.toThrow(/SSL|TLS|alert/);
});

it("WebSockets pass", async () => {
  const script = `cat > app.js <<'END'
const crypto = require("crypto");
require("http").createServer().on("upgrade", (req, socket) => {
  const accept = crypto.createHash("sha1").update(req.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: " + accept + "\\r\\n\\r\\n");
  socket.write(Buffer.from([0x81, 2, 104, 105]));
}).listen(8080);
END
exec node app.js`;
  const { requestId } = await mags.run(script, { persistent: true });
  const { hostname, host } = new URL((await mags.url(requestId)).url);
  const socket = new WebSocket(`wss://127.0.0.1:${port}/`, {
    headers: { host },
    agent: new Agent({ servername: hostname, ca: await readFile(authority()) }),
  });
  expect(String((await once(socket, "message"))[0])).toBe("hi");
  socket.terminate();
});
