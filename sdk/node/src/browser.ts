import { MagsError } from "./errors.ts";
import type { CallSettings } from "./http.ts";
import type { RunOptions } from "./job-body.ts";
import type { Job, UrlOpened } from "./wire.ts";

/** A Chromium in a machine of its own. Whoever has one of its addresses may drive it. */
export interface Browser {
  requestId: string;
  /** WebSocket for `connectOverCDP` of Playwright, or `browserWSEndpoint` of Puppeteer */
  wsEndpoint: string;
  /** the same */
  cdpUrl: string;
  /** HTTP side of the DevTools, where `/json/version` and the like are */
  cdpHttpUrl: string;
}

export interface BrowserOptions extends Omit<RunOptions, "timeout"> {
  /** give up after this long, `seconds`; 300 by default, because the first one on a node builds the image */
  timeout?: number;
}

/** What is needed of the client. */
interface Calls {
  run(script: string, options: RunOptions): Promise<{ requestId: string }>;
  wait(id: string, options: { waitTimeout: number } & CallSettings): Promise<Job>;
  url(id: string, port: number, options: { access: "token" } & CallSettings): Promise<UrlOpened>;
}

const PORT = 9222;

/** Starts a browser and answers when it is up; `Mags.stop` ends it. */
export async function openBrowser(mags: Calls, options: BrowserOptions): Promise<Browser> {
  const { timeout = 300, ...given } = options;
  const job = { memoryMb: 1024, ...given, rootfsType: "browser", persistent: true, startupCommand: "true" };
  // The image's entrypoint starts the browser and waits for it before it runs the script.
  const { requestId } = await mags.run("true", job);
  const { exit_code, error, status } = await mags.wait(requestId, { waitTimeout: timeout, signal: options.signal });
  if (exit_code !== 0 || error !== null)
    throw new MagsError(`the browser did not start: ${error ?? status}`, { code: "not_started" });
  const { url, token } = await mags.url(requestId, PORT, { access: "token", signal: options.signal });
  const address = new URL(url);
  address.searchParams.set("mags_token", String(token));
  const cdpHttpUrl = address.href;
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return { requestId, wsEndpoint: address.href, cdpUrl: address.href, cdpHttpUrl };
}
