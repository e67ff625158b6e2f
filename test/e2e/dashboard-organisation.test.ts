/** The pages of the dashboard that are about an organisation as a whole, in a real browser on a whole Mags. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { attemptLimits } from "../../server/src/sessions/attempts.ts";
import { freePort, startProvider } from "../../server/src/sessions/testing/provider.ts";
import { keepScreenshot } from "../harness/browser.ts";
import { Dashboard } from "../harness/dashboard.ts";

// Another site than the dashboard's, as providers are: cookies go different ways there.
const issuer = `http://localhost:${await freePort()}`;
const dashboard = Dashboard.forThisFile({
  MAGS_WEBHOOK_ALLOW: "127.0.0.1",
  MAGS_QUOTA_SANDBOXES: "5",
  MAGS_OIDC_ISSUER: issuer,
  MAGS_OIDC_CLIENT_ID: "mags",
  MAGS_OIDC_CLIENT_SECRET: "a-secret-of-the-client-that-is-long-enough",
  MAGS_OIDC_LABEL: "Acme",
  MAGS_OIDC_DOMAINS: "acme.example=default",
});

/** A server of somebody's that is told of jobs; it answers as it is set to. */
async function startReceiver() {
  const receiver = { status: 200, told: [] as string[], url: "", close: () => void server.close() };
  const server = createServer((request, response) => {
    request.setEncoding("utf8").once("data", (body: string) => receiver.told.push(JSON.parse(body).type));
    response.writeHead(receiver.status).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  return receiver;
}

test("a webhook is added with its secret shown once, tested, turned off by its receiver, and told again of what it missed", async () => {
  const { page, daemon } = dashboard;
  const receiver = await startReceiver();
  await dashboard.signIn();
  await dashboard.go("Webhooks");
  await page.getByText("Nobody is told yet").waitFor();
  await dashboard.look("webhooks-empty");
  await page.getByLabel("job.sleeping").check();
  await page.getByLabel("Address").fill(receiver.url);
  await dashboard.button("Add the webhook").click();
  await page.getByText(/^whsec_/).waitFor();
  await dashboard.look("webhooks");
  await page.getByRole("link", { name: receiver.url }).click();
  await page.getByText(/job\.sleeping/).waitFor();
  expect(await page.getByText(/^whsec_/).count()).toBe(0);
  await dashboard.button("Send a test").click();
  const row = page.getByRole("table", { name: "Deliveries" }).getByRole("row");
  await row.getByText("Delivered").waitFor();
  receiver.status = 410;
  await (await daemon.client()).runAndWait("exit 3");
  await page.getByText("the receiver answered 410 Gone").waitFor();
  await page.getByLabel("State").selectOption({ label: "Given up" });
  await row.getByText("Given up").waitFor();
  await dashboard.look("webhook-given-up");
  receiver.status = 200;
  await dashboard.button("Turn on").click();
  await page.getByText("On", { exact: true }).waitFor();
  await dashboard.button("Send again: job.completed").click();
  await page.getByText("None is like that.").waitFor();
  await page.getByLabel("State").selectOption({ label: "Delivered" });
  await row.getByRole("link", { name: "job.completed" }).waitFor();
  expect(receiver.told.slice(-2)).toEqual(["job.completed", "job.completed"]);
  await dashboard.button("New secret").click();
  await dashboard.button("End the old one").click();
  await page.getByText(/^whsec_/).waitFor();
  await dashboard.button("Delete").click();
  await dashboard.button("Delete for good").click();
  await page.getByText("Nobody is told yet").waitFor();
  receiver.close();
});

test("usage is shown by day, workspace and who ran it, as bars and as tables, and downloaded", async () => {
  const { page, daemon } = dashboard;
  await (await daemon.client()).runAndWait("sleep 1", { name: "counted", workspaceId: "ledger" });
  await dashboard.signIn();
  await dashboard.go("Usage");
  const jobs = page.getByRole("figure").filter({ hasText: "Jobs" });
  await jobs.getByRole("img", { name: /^Jobs: [1-9]/ }).waitFor();
  await page.getByText("The same as a table").click();
  const days = page.getByRole("table", { name: "Usage by day" }).getByRole("row");
  expect(await days.count()).toBe(31);
  await page
    .getByRole("table", { name: "Usage by workspace" })
    .getByRole("row", { name: /^ledger/ })
    .waitFor();
  await dashboard.look("usage");
  await dashboard.button("7 days").click();
  await expect.poll(() => days.count()).toBe(8);
  await page.getByLabel("Share out").selectOption("By who ran it");
  await page.getByRole("row", { name: /^token admin/ }).waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByText("Download CSV").click()]);
  const [head, ...rows] = (await readFile(await download.path(), "utf8")).trim().split("\n");
  expect(head).toContain("day,jobs,vcpu_seconds");
  expect(rows).toHaveLength(7);
  await page.setViewportSize({ width: 320, height: 700 });
  await keepScreenshot(page, "phone/usage");
  expect(await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")).toBe(
    false,
  );
});

test("limits are shown beside what is used; who runs the installation sets them, and they hold at once", async () => {
  const { page, daemon } = dashboard;
  const mags = await daemon.client();
  await dashboard.signIn();
  await dashboard.go("Limits");
  await page.getByText("0 of 5").waitFor();
  const { requestId } = await mags.run("sleep 600");
  await page.getByText("1 of 5").waitFor();
  await page.getByLabel("Machines up").fill("1");
  await page.getByLabel("Memory, GiB").fill("1.5");
  await dashboard.button("Set the limits").click();
  await page.getByText("512 MiB of 1.5 GiB").waitFor();
  await page.getByText("1 of 1", { exact: true }).waitFor();
  await dashboard.look("limits");
  await dashboard.visit("/jobs/new");
  await page.getByRole("textbox", { name: "Script" }).fill("true");
  await dashboard.button("Run", true).click();
  await page
    .getByRole("alert")
    .getByText(/may have 1; this needs 1 more/)
    .waitFor();
  await dashboard.look("run-refused");
  await mags.stop(requestId);
  await dashboard.go("Limits");
  await page.getByLabel("Machines up").fill("");
  await page.getByLabel("Memory, GiB").fill("");
  await dashboard.button("Set the limits").click();
  await page.getByText("0 of 5").waitFor();
});

test("somebody comes in by an OpenID provider, to the page that was asked for; who may not is told why", async () => {
  const { page, daemon } = dashboard;
  const client = { id: "mags", secret: "a-secret-of-the-client-that-is-long-enough", url: daemon.url };
  const provider = await startProvider(issuer, client, {
    ann: { email: "ann@acme.example", email_verified: true },
    zoe: { email: "zoe@elsewhere.example", email_verified: true },
  });
  await dashboard.visit("/workspaces");
  await page.getByRole("link", { name: "Sign in with Acme" }).waitFor();
  await dashboard.look("sign-in-openid");
  const comeAs = async (person: Page, name: string) => {
    // The provider's pages would have a font from elsewhere.
    await person.route(/^https:/, (route) => route.fulfill({ body: "" }));
    await person.getByRole("link", { name: "Sign in with Acme" }).click();
    await person.getByPlaceholder("Enter any login").fill(name);
    await person.getByPlaceholder("and password").fill("any");
    await person.getByRole("button", { name: "Sign-in" }).click();
    await person.getByRole("button", { name: "Continue" }).click();
  };
  await comeAs(page, "ann");
  await page.getByRole("heading", { level: 1, name: "Workspaces" }).waitFor();
  await page.getByText("ann@acme.example").waitFor();
  const zoe = await dashboard.stranger();
  await zoe.goto(`${daemon.url}/sign-in`);
  await comeAs(zoe, "zoe");
  await zoe.getByRole("alert").getByText("nobody of elsewhere.example").waitFor();
  await keepScreenshot(zoe, "sign-in-openid-refused");
  provider.close();
});

test("who guesses a password is made to wait, and sees how long", async () => {
  const { page } = dashboard;
  await dashboard.visit("/sign-in");
  await dashboard.button("Use e-mail and password").click();
  await page.getByLabel("E-mail").fill("nobody@acme.example");
  for (let guess = 0; guess < attemptLimits.ofAddressAtAccount; guess++) {
    await page.getByLabel("Password").fill(`guess ${guess}`);
    const [answer] = await Promise.all([page.waitForResponse(/session$/), dashboard.button("Sign in", true).click()]);
    expect(answer.status()).toBe(401);
  }
  await dashboard.button("Sign in", true).click();
  await page.getByRole("alert").getByText("too many sign-ins have failed").waitFor();
  expect(await dashboard.button("Wait 1").isDisabled()).toBe(true);
  await dashboard.look("sign-in-wait");
});
