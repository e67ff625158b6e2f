/** The pages of the dashboard with which an installation is operated, in a real browser on a whole Mags. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { accessibilityFaults, keepScreenshot } from "../harness/browser.ts";
import { Dashboard } from "../harness/dashboard.ts";

const dashboard = Dashboard.forThisFile();
const PAGES = [
  "jobs",
  "jobs/new",
  "workspaces",
  "workspaces/pocket",
  "workspaces/pocket/changes",
  "cron",
  "cron/new",
  "urls",
  "members",
  "tokens",
  "secrets",
  "webhooks",
  "quota",
  "audit",
  "system",
];

test("a schedule is written with its next runs in sight, run now, turned off and deleted", async () => {
  const { page } = dashboard;
  await dashboard.signIn();
  await dashboard.go("Schedules");
  await page.getByText("Nothing runs by itself yet").waitFor();
  await dashboard.look("cron-empty");
  await page.getByRole("link", { name: "New schedule" }).first().click();
  await page.getByLabel("Name").fill("nightly");
  await page.getByLabel("When").fill("0 0 31 2 *");
  await page.getByText("never fires").waitFor();
  await page.getByLabel("When").fill("30 4 * * *");
  await page.getByLabel("Time zone").fill("Asia/Tokyo");
  await page.getByText("04:30").first().waitFor();
  await page.getByRole("textbox", { name: "Script" }).fill("echo good night; exit 4");
  await dashboard.look("cron-new");
  await dashboard.button("Make the schedule").click();
  await page.getByRole("heading", { name: "nightly" }).waitFor();
  await dashboard.button("Run now").click();
  await page.getByText("Failed · exit 4").waitFor();
  await dashboard.look("cron");
  await page.getByRole("link", { name: "Output" }).click();
  await page.getByRole("log").getByText("good night").waitFor();
  await page.goBack();
  await dashboard.button("Turn off").click();
  await page.getByText("It is turned off").waitFor();
  await dashboard.go("Schedules");
  await page
    .getByRole("row", { name: /nightly/ })
    .getByText("Off")
    .waitFor();
  await dashboard.look("crons");
  await page.getByRole("link", { name: "nightly" }).click();
  await dashboard.button("Delete").click();
  await dashboard.button("Delete for good").click();
  await page.getByText("Nothing runs by itself yet").waitFor();
});

test("an alias is made, leads to the machine of its workspace, and is deleted; SSH keys are added and removed", async () => {
  const { page, context, daemon } = dashboard;
  const mags = await daemon.client();
  const script = "echo 'hello, alias' > index.html; exec python3 -m http.server 8080";
  const { requestId } = await mags.run(script, { name: "shop", workspaceId: "shop", persistent: true });
  await mags.url(requestId, 8080);
  await dashboard.signIn();
  await dashboard.go("URLs and keys");
  await page.getByLabel("Name").fill("my-shop");
  await page.getByLabel("Workspace").fill("shop");
  await dashboard.button("Name it").click();
  const link = page.getByRole("link", { name: /my-shop/ });
  const [opened] = await Promise.all([context.waitForEvent("page"), link.click()]);
  await opened.getByText("hello, alias").waitFor();
  await opened.close();
  await page.getByLabel("Public key").fill("nonsense");
  await dashboard.button("Add").click();
  await page.getByRole("alert").waitFor();
  const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEd1JnDZOPIMTBWnxfhmI9FNRWTjAPPrTMmwGOPcOcHg you@laptop";
  await page.getByLabel("Public key").fill(key);
  await dashboard.button("Add").click();
  await page.getByRole("cell", { name: "you@laptop", exact: true }).waitFor();
  await dashboard.look("urls");
  await dashboard.button("Remove you@laptop").click();
  await dashboard.button("Remove the key").click();
  await page.getByRole("cell", { name: "you@laptop", exact: true }).waitFor({ state: "detached" });
  await dashboard.button("Delete my-shop").click();
  await dashboard.button("Delete the name").click();
  await link.waitFor({ state: "detached" });
  await mags.stop(requestId);
});

test("a token is made, shown once, works, and is revoked at once", async () => {
  const { page, daemon } = dashboard;
  await dashboard.signIn();
  await dashboard.go("Tokens");
  await page.getByLabel("Name").fill("ci");
  await page.getByLabel("May").selectOption("read");
  await dashboard.button("Make a token").click();
  const secret = page.getByText(/^mags_/);
  await secret.waitFor();
  const headers = { authorization: `Bearer ${await secret.textContent()}` };
  const status = async () => (await fetch(`${daemon.url}/api/v1/mags-jobs`, { headers })).status;
  expect(await status()).toBe(200);
  await page.getByRole("row", { name: /ci read/ }).waitFor();
  await dashboard.look("tokens");
  await page.reload();
  await page.getByRole("row", { name: /ci read/ }).waitFor();
  expect(await page.getByText(/^mags_/).count()).toBe(0);
  await dashboard.button("Revoke ci").click();
  await dashboard.button("Revoke it now").click();
  await page.getByRole("row", { name: /ci read/ }).waitFor({ state: "detached" });
  expect(await status()).toBe(401);
});

test("who runs the installation sees the nodes, drains one, and puts it back", async () => {
  const { page, daemon } = dashboard;
  const mags = await daemon.client();
  await dashboard.signIn();
  await dashboard.go("System");
  await page.getByText("machines ready").waitFor();
  const row = page.getByRole("table", { name: "Nodes" }).getByRole("row").nth(1);
  await row.getByText("Ready", { exact: true }).waitFor();
  await row.getByRole("button", { name: /Drain/ }).click();
  await row.getByText("Drained", { exact: true }).waitFor();
  await dashboard.look("system-drained");
  const waiting = await mags.run("echo moved on");
  await row.getByRole("button", { name: /Put back/ }).click();
  await row.getByText("Ready", { exact: true }).waitFor();
  expect((await mags.wait(waiting.requestId)).exit_code).toBe(0);
});

test("the files of a workspace are browsed, read, downloaded and uploaded; versions are compared and verified", async () => {
  const { page, daemon } = dashboard;
  const mags = await daemon.client();
  const evil = "<img src=x onerror=alert(1)>";
  const options = { workspaceId: "notes" };
  await mags.runAndWait("mkdir docs; echo one > docs/a.txt; echo gone > old.txt", options);
  await mags.runAndWait(
    `echo two > docs/a.txt; rm old.txt; touch '${evil}'; head -c 300 /dev/urandom > noise`,
    options,
  );
  await dashboard.signIn();
  await dashboard.go("Workspaces");
  await page.getByRole("link", { name: "notes" }).click();
  await page.getByRole("link", { name: "Changes" }).first().click();
  await page.getByRole("row", { name: /docs\/a\.txt modified 4 B 4 B/ }).waitFor();
  await page.getByRole("row", { name: /old\.txt removed/ }).waitFor();
  await dashboard.look("changes");
  await page.getByRole("link", { name: "To the workspace" }).click();
  await dashboard.button("Verify version 2").click();
  await page.getByText(/Version 2 can be restored/).waitFor();
  await dashboard.look("workspace-verified");
  await page.getByRole("link", { name: "Files", exact: true }).first().click();
  await page.getByText(evil).waitFor();
  await page.getByRole("link", { name: "docs/" }).click();
  await page.getByRole("link", { name: "a.txt" }).click();
  await page.getByText("two", { exact: true }).waitFor();
  await dashboard.look("files");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByText("Download").click()]);
  expect(await readFile(await download.path(), "utf8")).toBe("two\n");
  const file = { name: "new.txt", mimeType: "text/plain", buffer: Buffer.from("from the browser\n") };
  await page.getByLabel("Upload").setInputFiles(file);
  await page.getByRole("link", { name: "new.txt" }).waitFor();
  expect((await mags.runAndWait("cat docs/new.txt", options)).stdout).toBe("from the browser\n");
});

test("somebody is invited, chooses a password, signs in with it, sees what the role allows, and is shut out at once", async () => {
  const { page } = dashboard;
  await dashboard.signIn();
  await dashboard.go("Members");
  await page.getByText("Nobody is a member yet").waitFor();
  await page.getByLabel("E-mail").fill("ann@example.org");
  await page.getByLabel("Role").selectOption("viewer");
  await dashboard.button("Invite").click();
  const link = await page.locator(".notice pre").textContent();
  await dashboard.look("members");
  const ann = await dashboard.stranger();
  await ann.goto(link as string);
  await ann.getByLabel("Password").fill("short");
  await ann.getByLabel("Password").fill("correct horse battery");
  await ann.getByRole("button", { name: "Choose this password" }).click();
  await ann.getByRole("heading", { name: "Jobs" }).waitFor();
  await ann.getByText("ann@example.org").waitFor();
  expect(await ann.getByRole("link", { name: "Tokens" }).count()).toBe(0);
  await ann.getByRole("button", { name: "Sign out" }).click();
  await ann.getByRole("button", { name: "Use e-mail and password" }).click();
  await ann.getByLabel("E-mail").fill("ann@example.org");
  await ann.getByLabel("Password").fill("wrong");
  await ann.getByRole("button", { name: "Sign in" }).click();
  await ann.getByRole("alert").waitFor();
  await keepScreenshot(ann, "sign-in-password");
  expect(await accessibilityFaults(ann)).toEqual([]);
  await ann.getByLabel("Password").fill("correct horse battery");
  await ann.getByRole("button", { name: "Sign in" }).click();
  await ann.getByRole("heading", { name: "Jobs" }).waitFor();
  await dashboard.button("Disable ann@example.org").click();
  await page
    .getByRole("row", { name: /ann@example.org/ })
    .getByText("Disabled")
    .waitFor();
  await ann.reload();
  await ann.waitForURL(/sign-in/);
  await dashboard.go("Audit log");
  await page.getByRole("row", { name: /addMember/ }).waitFor();
  await page.getByLabel("What", { exact: true }).fill("updateMember");
  await page.getByRole("row", { name: /addMember/ }).waitFor({ state: "detached" });
  await page.getByRole("row", { name: /updateMember/ }).waitFor();
  await dashboard.look("audit");
});

test("a secret is set, given to a job, masked in its log, and deleted", async () => {
  const { page, daemon } = dashboard;
  const mags = await daemon.client();
  await dashboard.signIn();
  await dashboard.go("Secrets");
  await page.getByLabel("Name").fill("db-password");
  await page.getByLabel("Value").fill("hunter2-hunter2");
  await dashboard.button("Set").click();
  await page.getByRole("row", { name: /db-password 1/ }).waitFor();
  await dashboard.look("secrets");
  expect(await page.content()).not.toContain("hunter2-hunter2");
  const body = { script: 'test "$P" = hunter2-hunter2 && echo "is $P"', secrets: { P: "db-password" } };
  const { request_id } = (await daemon.http("POST", "/api/v1/mags-jobs", body)).body;
  expect((await mags.wait(request_id)).exit_code).toBe(0);
  await dashboard.visit(`/jobs/${request_id}`);
  await page.getByRole("log").getByText(/^is /).waitFor();
  expect(await page.getByRole("log").textContent()).not.toContain("hunter2-hunter2");
  await dashboard.go("Secrets");
  await dashboard.button("Delete db-password").click();
  await dashboard.button("Delete all versions").click();
  await page.getByText("There is no secret yet").waitFor();
});

test("works with the keyboard alone", async () => {
  const { page } = dashboard;
  await dashboard.signIn();
  await dashboard.visit("/jobs");
  await page.keyboard.press("Tab");
  expect(await page.evaluate("document.activeElement.textContent")).toBe("Skip to the content");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "New run" }).waitFor();
  await page.getByRole("textbox", { name: "Script" }).focus();
  await page.keyboard.type("echo typed");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("log").getByText("typed").waitFor();
});

test("keys lead anywhere by a few letters, and are listed", async () => {
  const { page, daemon } = dashboard;
  await (await daemon.client()).runAndWait("true", { name: "far-away", workspaceId: "farm" });
  await dashboard.signIn();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).getByText("Go to a page").waitFor();
  await dashboard.look("keys");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.keyboard.press("Control+k");
  await page.keyboard.type("sched");
  await page.getByRole("option", { name: "Schedules" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Schedules" }).waitFor();
  await page.keyboard.press("Control+k");
  await page.keyboard.type("far");
  await page.getByRole("option", { name: "farm Workspace" }).waitFor();
  await page.getByRole("option", { name: "far-away Job", selected: true }).waitFor();
  await dashboard.look("go-to");
  await page.getByRole("combobox", { name: "Page, job or workspace" }).press("Enter");
  await page.getByRole("heading", { level: 1, name: "far-away" }).waitFor();
  await page.keyboard.press("n");
  await page.getByRole("heading", { level: 1, name: "New run" }).waitFor();
});

test("every page fits a phone", async () => {
  const { page, daemon } = dashboard;
  const mags = await daemon.client();
  await mags.runAndWait("echo > file", { workspaceId: "pocket" });
  await mags.cron.create({ name: "yearly", script: "true", cronExpression: "@yearly" });
  await page.setViewportSize({ width: 320, height: 700 });
  await dashboard.signIn();
  const tooWide = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
  for (const path of PAGES) {
    await dashboard.visit(`/${path}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await expect.poll(() => page.getByText(/^Loading/).count(), { timeout: 30_000 }).toBe(0);
    expect(await page.evaluate(tooWide), path).toBe(false);
    expect(await accessibilityFaults(page), path).toEqual([]);
    await keepScreenshot(page, `phone/${path.replaceAll("/", "-")}`);
  }
  await dashboard.button("Menu").click();
  await dashboard.go("Tokens");
  await keepScreenshot(page, "phone/menu");
});
