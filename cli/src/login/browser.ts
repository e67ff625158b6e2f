import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname, userInfo } from "node:os";
import { createInterface } from "node:readline";
import { spawn } from "@mags/kit";
import { Mags } from "@mags/sdk";

/** What is given up after, `ms` */
const PATIENCE_MS = 10 * 60_000;
const CODE = "login_";

/**
 * Asks for a token on a page of the dashboard (RFC 8252 and 7636): whoever is signed in there approves, and the page brings
 * a code to us on the loopback address, or the person pastes it. Answers the token; a pasted token is one, too.
 */
export async function loginByBrowser(
  apiUrl: string,
  options: { scope: string; open: boolean; say: (text: string) => void },
): Promise<string> {
  const verifier = randomBytes(32).toString("base64url");
  const state = randomBytes(16).toString("base64url");
  const leave = new AbortController();
  try {
    const callback = await listen(state, leave.signal);
    const asked = new URLSearchParams({
      challenge: createHash("sha256").update(verifier).digest("base64url"),
      name: `mags of ${userInfo().username} on ${hostname()}`,
      scope: options.scope,
      port: String(callback.port),
      state,
    });
    const page = `${apiUrl}/approve?${asked}`;
    options.say(`Approve this login in a browser:\n  ${page}\nor paste the code, or a token, here.\n`);
    if (options.open) openPage(page);
    const given = await Promise.race([callback.code, pasted(leave.signal), giveUp(leave.signal)]);
    if (!given.startsWith(CODE)) return given;
    return (await new Mags({ apiUrl }).tokens.exchangeLogin(given, verifier)).token;
  } finally {
    leave.abort();
  }
}

/** Waits on a port of this machine for the page that brings the code; others' pages do not know the state. */
async function listen(state: string, signal: AbortSignal): Promise<{ port: number; code: Promise<string> }> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  promise.catch(() => undefined);
  const server = createServer((request, response) => {
    const asked = new URL(request.url ?? "/", "http://127.0.0.1").searchParams;
    const [code, error] = [asked.get("code"), asked.get("error")];
    if (asked.get("state") !== state || (code === null && error === null)) {
      response.writeHead(404, { "content-type": "text/plain" }).end("This is not the answer that mags waits for.\n");
      return;
    }
    const text = code ? "mags is logged in. You may close this page.\n" : "The login was refused.\n";
    response.writeHead(200, { "content-type": "text/plain", connection: "close" }).end(text, () => {
      if (code) resolve(code);
      else reject(new Error("the login was refused on the page"));
    });
  });
  await new Promise<void>((done, failed) => server.once("error", failed).listen(0, "127.0.0.1", done));
  signal.addEventListener("abort", () => server.close(), { once: true });
  return { port: (server.address() as AddressInfo).port, code: promise };
}

/** The first line that is typed; never, where there is no more input. */
function pasted(signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: process.stdin });
  signal.addEventListener("abort", () => lines.close(), { once: true });
  return new Promise((resolve) => lines.on("line", (line) => line.trim() !== "" && resolve(line.trim())));
}

function giveUp(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const late = () => reject(new Error("nobody has approved the login within ten minutes: start it again"));
    const timer = setTimeout(late, PATIENCE_MS);
    signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  });
}

/** As far as there is a desktop; the address has been printed for where there is none. */
function openPage(page: string): void {
  const opener = process.platform === "darwin" ? "open" : "xdg-open";
  void spawn(opener, [page], { stdio: "ignore", detached: true, cleanup: false, reject: false });
}
