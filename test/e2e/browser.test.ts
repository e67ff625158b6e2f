/** A browser in a machine, driven from here as people drive one elsewhere. The image is built where it is not there yet. */
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
