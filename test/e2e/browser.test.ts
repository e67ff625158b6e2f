/** A browser in a machine, driven from here as people drive one elsewhere. The image is built where it is not there yet. */
import { run } from "@mags/kit";
import type { Mags } from "@mags/sdk";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";

let daemon: Daemon;
let mags: Mags;

beforeAll(async () => {
  daemon = await Daemon.start();
  mags = await daemon.client();
  await mags.images.build("browser");
}, 900_000);
afterAll(() => daemon.remove());

const PAGE = "data:text/html,<title>Inside</title><p id=x>made in a machine</p>";

test("Playwright drives the browser of mags.browser() by its WebSocket, and only with the token", async () => {
  const browser = await mags.browser({ name: "driven" });
  const driven = await chromium.connectOverCDP(browser.wsEndpoint);
  const page = await driven.newPage();
  await page.goto(PAGE);
  expect(await page.title()).toBe("Inside");
  expect(await page.locator("#x").textContent()).toBe("made in a machine");
  // It is the machine's browser: it sees that machine's files.
  await mags.exec(browser.requestId, "echo of the machine > /tmp/note.txt");
  await page.goto("file:///tmp/note.txt");
  expect(await page.content()).toContain("of the machine");
  await driven.close();

  const bare = new URL(browser.wsEndpoint);
  bare.search = "";
  await expect(chromium.connectOverCDP(bare.href, { timeout: 10_000 })).rejects.toThrow(/401|403/);
  const version = new URL(browser.cdpHttpUrl);
  const headers = { "X-Mags-Token": String(version.searchParams.get("mags_token")) };
  const answer = await fetch(new URL("/json/version", version.origin), { headers });
  const { webSocketDebuggerUrl } = (await answer.json()) as { webSocketDebuggerUrl: string };
  expect(new URL(webSocketDebuggerUrl).host).toBe(version.host);

  await mags.sleep(browser.requestId);
  const again = await chromium.connectOverCDP(browser.wsEndpoint, { timeout: 60_000 });
  expect(again.contexts()).toHaveLength(1);
  await again.close();
  await mags.stop(browser.requestId);
}, 180_000);

test("mags browser prints a WebSocket that works", async () => {
  const { stdout, exitCode, stderr } = await daemon.cli(["browser", "--name", "by-cli"]);
  expect([exitCode, stderr]).toEqual([0, expect.stringContaining("mags stop")]);
  const driven = await chromium.connectOverCDP(stdout.trim());
  expect(driven.version()).toMatch(/^\d+\./);
  await driven.close();
  await mags.stop("by-cli");
}, 120_000);

test("the Python client's browser() answers a WebSocket that works, blocking and not", async () => {
  const program = `
import asyncio
from mags import AsyncMags, Mags

with Mags() as mags:
    print(mags.browser(name="by-python")["ws_endpoint"])

async def other():
    async with AsyncMags() as mags:
        print((await mags.browser(name="by-async-python"))["cdp_url"])

asyncio.run(other())
`;
  const env = {
    PYTHONPATH: new URL("../../sdk/python/src", import.meta.url).pathname,
    PYTHONDONTWRITEBYTECODE: "1",
    MAGS_API_URL: daemon.url,
    MAGS_API_TOKEN: await daemon.token(),
  };
  const endpoints = (await run("/usr/bin/python3", ["-c", program], { env })).trim().split("\n");
  expect(endpoints).toHaveLength(2);
  for (const endpoint of endpoints) {
    const driven = await chromium.connectOverCDP(endpoint, { timeout: 60_000 });
    const page = await driven.newPage();
    await page.goto(PAGE);
    expect(await page.title()).toBe("Inside");
    await driven.close();
  }
  await Promise.all(["by-python", "by-async-python"].map((name) => mags.stop(name)));
}, 180_000);

test("a job on the image has the browser beside its script", async () => {
  const script = "curl -sf http://127.0.0.1:9222/json/version";
  const { stdout, error } = await mags.runAndWait(script, { rootfsType: "browser", memoryMb: 1024 });
  expect([error, JSON.parse(stdout)]).toEqual([null, expect.objectContaining({ Browser: expect.any(String) })]);
}, 120_000);
