/** `mags login` as people do it: a real browser, the dashboard, and the command that waits. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Running, spawn } from "@mags/kit";
import { Mags } from "@mags/sdk";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { accessibilityFaults, keepScreenshot, startBrowser, visit, watchFaults } from "../harness/browser.ts";
import { Daemon } from "../harness/daemon.ts";

const MAGS = new URL("../../cli/bin/mags", import.meta.url).pathname;

let daemon: Daemon;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let faults: string[];
let home: string;

beforeAll(async () => {
  [daemon, browser] = await Promise.all([Daemon.start(), startBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await daemon?.remove();
});
beforeEach(async () => {
  home = mkdtempSync("/tmp/mags-login-");
  context = await browser.newContext({ colorScheme: "light", viewport: { width: 900, height: 800 } });
  page = await context.newPage();
  page.setDefaultTimeout(30_000);
  faults = watchFaults(page);
});
afterEach(async () => {
  await context.close();
  rmSync(home, { recursive: true });
  expect(faults).toEqual([]);
});

interface Waiting {
  command: Running;
  page: string;
}

/** The command as a person has it who is nobody yet, up to the address that it prints. */
async function login(args: string[] = []): Promise<Waiting> {
  const command = spawn(MAGS, ["login", "--web", "--no-browser", "--url", daemon.url, ...args], {
    env: { PATH: process.env.PATH, HOME: home, MAGS_DATA_DIR: join(home, "none") },
    extendEnv: false,
    stdin: "pipe",
    reject: false,
    all: true,
  }) as Running;
  const address = Promise.withResolvers<string>();
  let said = "";
  command.stderr?.on("data", (chunk) => {
    said += chunk;
    const found = /^ {2}(http\S+)$/m.exec(said)?.[1];
    if (found) address.resolve(found);
  });
  return { command, page: await address.promise };
}

const config = () => join(home, ".mags/config.json");
const kept = () => JSON.parse(readFileSync(config(), "utf8"));

async function openApproval(address: string): Promise<void> {
  await visit(page, address);
  await page.getByLabel("Token").fill(await daemon.token());
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("asks to act as admin of default").waitFor();
}

test("a person signs in, sees what asks for what, approves, and the command has a token of its own", async () => {
  const { command, page: address } = await login(["--json"]);
  await openApproval(address);
  expect(await page.locator("form").textContent()).toMatch(
    /mags of \w+ on .+ it could look at everything and run things/,
  );
  expect(await accessibilityFaults(page)).toEqual([]);
  await keepScreenshot(page, "approve");
  const arrived = context.waitForEvent("page");
  await page.getByRole("button", { name: "Approve" }).click();
  await (await arrived).getByText("mags is logged in").waitFor();
  await keepScreenshot(page, "approved");

  const result = await command;
  expect(result.exitCode, String(result.all)).toBe(0);
  expect(JSON.parse(String(result.stdout))).toMatchObject({ organisation: "default", scopes: ["run"] });
  expect(statSync(config()).mode & 0o777).toBe(0o600);
  expect(kept()).toMatchObject({ api_url: daemon.url, api_token: expect.stringMatching(/^mags_/) });
  const mine = new Mags({ apiUrl: daemon.url, apiToken: kept().api_token });
  await mine.list();
  await expect(mine.tokens.list()).rejects.toMatchObject({ statusCode: 403 });
  const { tokens } = await (await daemon.client()).tokens.list();
  expect(tokens.map(({ name, created_by }) => [name, created_by])).toContainEqual([
    expect.stringMatching(/^mags of \w+ on .+ [0-9a-f]{4}$/),
    "admin",
  ]);
});

test("where the browser is on another machine, the code is pasted; it works once and for this command alone", async () => {
  const { command, page: address } = await login(["--scope", "read"]);
  const elsewhere = new URL(address);
  elsewhere.searchParams.delete("port");
  await openApproval(elsewhere.href);
  await page.getByRole("button", { name: "Approve" }).click();
  const code = (await page.locator("pre").textContent()) ?? "";
  command.stdin?.write(`${code}\n`);
  const result = await command;
  expect(result.exitCode, String(result.all)).toBe(0);
  expect(result.stdout).toContain("logged in as mags of");
  const nobody = new Mags({ apiUrl: daemon.url });
  await expect(nobody.tokens.exchangeLogin(code, "x")).rejects.toMatchObject({ statusCode: 401 });

  const challenge = "A".repeat(43);
  const { code: another } = await (await daemon.client()).tokens.approveLogin({ challenge, name: "other" });
  await expect(nobody.tokens.exchangeLogin(another, "not the secret")).rejects.toMatchObject({ statusCode: 401 });
});

test("a refusal on the page ends the command with a message", async () => {
  const { command, page: address } = await login();
  await openApproval(address);
  await page.getByRole("button", { name: "Refuse" }).click();
  const result = await command;
  expect(result).toMatchObject({ exitCode: 1, stdout: "" });
  expect(result.stderr).toContain("error: the login was refused on the page");
  expect(result.stderr).not.toMatch(/\n {4}at /);
  expect(() => statSync(config())).toThrow();
});

test("a page that nobody asked for tells the command nothing", async () => {
  const { command, page: address } = await login();
  const port = new URL(address).searchParams.get("port");
  const answer = await fetch(`http://127.0.0.1:${port}/?code=login_x&state=wrong`);
  expect(answer.status).toBe(404);
  command.kill("SIGINT");
  expect((await command).signal ?? (await command).exitCode).toBe("SIGINT");
});

test("a token can be pasted or piped; a wrong one is told and not kept", async () => {
  const pasting = await login();
  pasting.command.stdin?.write("wrong\n");
  expect(await pasting.command).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("not known") });
  expect(() => statSync(config())).toThrow();
  const again = await login();
  again.command.stdin?.write(`${await daemon.token()}\n`);
  expect((await again.command).exitCode).toBe(0);
  expect(kept().api_token).toBe(await daemon.token());
  // And from then on it is who we are.
  const env = { PATH: process.env.PATH, HOME: home };
  writeFileSync(join(home, "note"), "");
  const result = await spawn(MAGS, ["whoami"], { env, extendEnv: false });
  expect(result.stdout).toBe(`admin of default (operator) at ${daemon.url}`);
});
