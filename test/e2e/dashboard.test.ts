/** The dashboard in a real browser, on a whole Mags. */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { accessibilityFaults, keepScreenshot, startBrowser, visit, watchFaults } from "../harness/browser.ts";
import { Daemon } from "../harness/daemon.ts";

let daemon: Daemon;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let faults: string[];
beforeAll(async () => {
  [daemon, browser] = await Promise.all([Daemon.start(), startBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await daemon?.remove();
});
beforeEach(async () => {
  context = await browser.newContext({ colorScheme: "light", viewport: { width: 1200, height: 800 } });
  page = await context.newPage();
  page.setDefaultTimeout(30_000);
  faults = watchFaults(page);
});
afterEach(async () => {
  await context.close();
  expect(faults).toEqual([]);
});

async function signIn(): Promise<void> {
  await visit(page, daemon.url);
  await page.getByLabel("Token").fill(await daemon.token());
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Jobs" }).waitFor();
}

async function run(script: string): Promise<void> {
  await visit(page, `${daemon.url}/jobs/new`);
  await page.getByRole("textbox", { name: "Script" }).fill(script);
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForURL(/\/jobs\/[0-9a-f-]{36}$/);
}

const output = () => page.getByRole("log", { name: "Output" });

test("a wrong token is refused with a reason; the right one leads to where one wanted to go", async () => {
  await visit(page, `${daemon.url}/system`);
  await page.waitForURL(/sign-in\?back=%2Fsystem/);
  await page.getByLabel("Token").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  expect(await page.getByRole("alert").textContent()).toContain("not known");
  expect(await accessibilityFaults(page)).toEqual([]);
  await keepScreenshot(page, "sign-in");
  await page.getByLabel("Token").fill(await daemon.token());
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("machines ready").waitFor();
  await keepScreenshot(page, "system");
  expect(await accessibilityFaults(page)).toEqual([]);
  const cookies = await context.cookies();
  expect(cookies).toMatchObject([{ name: "mags_session", httpOnly: true, sameSite: "Strict" }]);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL(/sign-in/);
  const replay = await fetch(`${daemon.url}/api/v1/mags-jobs`, {
    headers: { cookie: `mags_session=${cookies[0]?.value}` },
  });
  expect(replay.status).toBe(401);
});

test("a script is run, its output appears while it runs, and its end is shown", async () => {
  await signIn();
  await run("echo first; sleep 2; echo second >&2; exit 3");
  await output().getByText("first").waitFor();
  await page.getByText("Running", { exact: true }).waitFor();
  await output().getByText("second").waitFor();
  await page.getByText("Completed · exit 3").waitFor();
  await keepScreenshot(page, "job");
  expect(await accessibilityFaults(page)).toEqual([]);
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Jobs" }).click();
  await page.getByText("Completed · exit 3").waitFor();
  await keepScreenshot(page, "jobs");
  expect(await accessibilityFaults(page)).toEqual([]);
});

test("a shell in the browser: typed into, resized, and taken up again when its connection is cut", async () => {
  const mags = await daemon.client();
  const { requestId } = await mags.run("sleep 600", { name: "workbench", persistent: true });
  await page.addInitScript(
    "sockets = []; WebSocket = class extends WebSocket { constructor(...all) { super(...all); sockets.push(this); } }",
  );
  await signIn();
  await visit(page, `${daemon.url}/jobs/${requestId}`);
  await page.getByRole("link", { name: "Terminal" }).click();
  await page.getByText("Connected", { exact: true }).waitFor();
  const screen = page.locator(".xterm-rows");
  const type = async (line: string) => {
    await page.keyboard.type(line);
    await page.keyboard.press("Enter");
  };
  await type("cd /tmp; echo $((6 * 7)) > answer; tput setaf 2; cat answer; stty size");
  await screen.getByText("42", { exact: true }).waitFor();
  const size = async () =>
    Number(/^(\d+) (\d+)$/m.exec((await screen.locator("> div").allInnerTexts()).join("\n"))?.[2]);
  const wide = await size();
  await keepScreenshot(page, "terminal");
  expect(await accessibilityFaults(page)).toEqual([]);
  await page.setViewportSize({ width: 700, height: 500 });
  // Looking for faults has moved the focus. The size reaches the terminal inside a moment after the page has it.
  const sizeNow = async () => {
    await page.locator(".xterm-screen").click();
    await type("clear; stty size");
    await page.waitForTimeout(300);
    return size();
  };
  await expect.poll(sizeNow, { timeout: 20_000 }).toBeLessThan(wide);
  await type("clear; kept=yes; sleep 3; echo after");
  await page.evaluate("sockets.forEach((socket) => socket.close())");
  await page.getByText("Connected", { exact: true }).waitFor();
  await screen.getByText("after", { exact: true }).waitFor();
  await type("echo is $kept");
  await screen.getByText("is yes", { exact: true }).waitFor();
  await type("exit 3");
  await page.getByText("Ended · exit 3").waitFor();
  await page.getByRole("button", { name: "New shell" }).click();
  await page.getByText("Connected", { exact: true }).waitFor();
  await mags.stop(requestId);
});

test("the machine of a job: what it uses, a URL for a port, a key for SSH, and the job run again", async () => {
  const mags = await daemon.client();
  const script = "mkdir www; echo 'hello from inside' > www/index.html; cd www; exec python3 -m http.server 8080";
  const { requestId } = await mags.run(script, { name: "site", persistent: true });
  await signIn();
  await visit(page, `${daemon.url}/jobs/${requestId}`);
  await page.getByText("Awake", { exact: true }).waitFor();
  await page.getByLabel("Port").fill("8080");
  await page.getByRole("button", { name: "Open port" }).click();
  const link = page.getByRole("link", { name: /^http:.*localhost/ });
  await link.waitFor();
  const [opened] = await Promise.all([context.waitForEvent("page"), link.click()]);
  await opened.getByText("hello from inside").waitFor();
  await opened.close();
  await page.getByRole("button", { name: "Make a key" }).click();
  await page.getByText("BEGIN OPENSSH PRIVATE KEY").waitFor();
  await page.getByText(/^of 512 MiB, most /).waitFor();
  await page.getByRole("figure").getByText("Written to disk").waitFor();
  await keepScreenshot(page, "machine");
  expect(await accessibilityFaults(page)).toEqual([]);
  await page.getByRole("button", { name: "Rerun" }).click();
  await page.getByText("Repeats").waitFor();
  await page.getByRole("link", { name: requestId }).waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped", { exact: true }).waitFor();
  await mags.stop(requestId);
});

test("a run is asked for with size, network, variables, a secret and a workspace, and its page says so", async () => {
  const mags = await daemon.client();
  await mags.secrets.set("greeting", "good-evening-to-you");
  await signIn();
  await visit(page, `${daemon.url}/jobs/new`);
  const script = 'test "$HELLO" = good-evening-to-you && echo "$WHO is greeted"; sleep 600';
  await page.getByRole("textbox", { name: "Script" }).fill(script);
  await page.getByRole("radio", { name: /^Workspace/ }).check();
  await page.getByRole("textbox", { name: "Workspace" }).fill("salon");
  await page.getByLabel("Keep the machine").check();
  await page.getByLabel("Never put it to sleep").check();
  await page.getByLabel("CPUs").fill("0.5");
  await page.getByLabel("Memory, MiB").fill("256");
  await page.getByLabel("Network").selectOption("Nothing");
  await page.getByText("Variables and secrets").click();
  await page.getByLabel("Variables").fill("WHO");
  await page.getByLabel("Secrets").fill("HELLO=greeting");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByRole("alert").getByText("“WHO” is not NAME=value").waitFor();
  await keepScreenshot(page, "run");
  expect(await accessibilityFaults(page)).toEqual([]);
  await page.getByLabel("Variables").fill("WHO=Ann");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await output().getByText("Ann is greeted").waitFor();
  await page.getByText("0.5 CPU, 256 MiB memory, 2 GiB disk").waitFor();
  const request = page.getByRole("region", { name: "Request" });
  await request.getByText("token admin").waitFor();
  await request.getByText("HELLO from greeting@1").waitFor();
  const files = page.getByRole("region", { name: "Files" });
  await files.getByRole("link", { name: "salon" }).waitFor();
  await files.getByText("never").waitFor();
  await page.getByRole("region", { name: "Ran on" }).getByText("nothing").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped", { exact: true }).waitFor();
});

test("a running job is stopped", async () => {
  await signIn();
  await run("sleep 600");
  await page.getByText("Running", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped", { exact: true }).waitFor();
});

test("what a script prints and what things are called is text, whatever it looks like", async () => {
  await signIn();
  const evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
  await run(`printf '\\033[31m%s\\033[0m\\n' '${evil}'`);
  await output().getByText("<script>document.title=2</script>").waitFor();
  expect(await output().textContent()).toContain(evil);
  expect(await output().textContent()).not.toContain("\u001b");
  const mags = await daemon.client();
  await mags.tokens.create(evil);
  await mags.cron.create({ name: evil, script: evil, cronExpression: "@yearly" });
  const { requestId } = await mags.run("exit 1", { name: evil, startupCommand: evil });
  for (const path of ["/jobs", `/jobs/${requestId}`, "/cron", "/tokens", "/audit"]) {
    await visit(page, daemon.url + path);
    await page.getByText(evil).first().waitFor();
  }
  await page.keyboard.press("Control+k");
  await page.keyboard.type("<img");
  await page.getByRole("option").getByText(evil).waitFor();
  expect(await page.title()).toBe("Mags");
});

test("a page of another site cannot act with the session, and no page may frame this one", async () => {
  await signIn();
  const [cookie] = await context.cookies();
  const headers = { cookie: `mags_session=${cookie?.value}`, "content-type": "application/json" };
  const post = (origin?: string) =>
    fetch(`${daemon.url}/api/v1/mags-jobs`, {
      method: "POST",
      headers: { ...headers, ...(origin ? { origin } : {}) },
      body: JSON.stringify({ script: "true" }),
    });
  expect((await post("http://evil.example")).status).toBe(401);
  expect((await post()).status).toBe(401);
  expect((await post(daemon.url)).status).toBe(202);
  const response = await fetch(daemon.url);
  expect(response.headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
});

test("a workspace shows what is durable, its history, and is rolled back, forked and deleted", async () => {
  const mags = await daemon.client();
  for (const text of ["one", "two"]) await mags.runAndWait(`echo ${text} > /root/file`, { workspaceId: "shelf" });
  await signIn();
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Workspaces" }).click();
  await page.getByRole("heading", { name: "Workspaces", level: 1 }).waitFor();
  await page.getByRole("link", { name: "shelf" }).click();
  await page.getByText(/Everything up to .* is durable/).waitFor();
  await page.getByRole("button", { name: "Roll back to version 1" }).click();
  await page.getByText("Version 1 is the latest again.").waitFor();
  await keepScreenshot(page, "workspace");
  expect(await accessibilityFaults(page)).toEqual([]);
  expect((await mags.runAndWait("cat /root/file", { workspaceId: "shelf" })).stdout).toBe("one\n");
  await page.getByLabel("Name of the new workspace").fill("shelf-2");
  await page.getByRole("button", { name: "Fork" }).click();
  await page.getByRole("heading", { name: "shelf-2" }).waitFor();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("button", { name: "Delete for good" }).click();
  await page.waitForURL(/\/workspaces$/);
  await page.getByRole("link", { name: "shelf" }).waitFor();
  expect(await page.getByRole("link", { name: "shelf-2" }).count()).toBe(0);
  await keepScreenshot(page, "workspaces");
  expect(await accessibilityFaults(page)).toEqual([]);
});

test("works on a phone and in the dark", async () => {
  await page.setViewportSize({ width: 390, height: 800 });
  await page.emulateMedia({ colorScheme: "dark" });
  await signIn();
  await keepScreenshot(page, "jobs-phone-dark");
  expect(await accessibilityFaults(page)).toEqual([]);
  await visit(page, `${daemon.url}/jobs/new`);
  await keepScreenshot(page, "run-phone-dark");
  expect(await accessibilityFaults(page)).toEqual([]);
  const tooWide = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth");
  expect(tooWide).toBe(false);
});
