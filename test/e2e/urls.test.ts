/** URLs into real sandboxes, with clients that were not made for it. */
import { run } from "@mags/kit";
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Daemon, untilEmpty } from "../harness/daemon.ts";

let daemon: Daemon;
let mags: Mags;

beforeAll(async () => {
  daemon = await Daemon.start();
  mags = await daemon.client();
});
afterAll(() => daemon.remove());

const access = async (id: string, body: object) =>
  (await daemon.http("POST", `/api/v1/mags-jobs/${id}/access`, body)).body;
/** curl knows what is below .localhost. */
const curl = (...args: string[]) => run("curl", ["-sS", "--max-time", "60", ...args]);

/** A persistent job and the URL of a port of it. */
async function serving(script: string, port = 8080): Promise<{ id: string; url: string }> {
  const { requestId } = await mags.run(script, { persistent: true });
  return { id: requestId, url: (await access(requestId, { port })).url };
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
  expect(await curl("-i", url)).toMatch(/^HTTP\/1\.1 404 [\s\S]*the sandbox behind this address has ended/);
});

it("a port that nobody listens on is named", async () => {
  const { id, url } = await serving("sleep 600", 9999);
  expect(await curl("-i", url)).toMatch(/^HTTP\/1\.1 502 [\s\S]*nothing listens on port 9999 of the sandbox/);
  await mags.stop(id);
});
