/** Persistent machines sleep when nobody needs them and wake for whoever does. */
import { setTimeout as delay } from "node:timers/promises";
import { run } from "@mags/kit";
import type { Job } from "@mags/protocol";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Daemon, untilEmpty } from "../harness/daemon.ts";

let daemon: Daemon;
const names: string[] = [];
beforeAll(async () => {
  daemon = await Daemon.start({ MAGS_IDLE_MINUTES: "0.05" });
});
afterEach(async () => {
  for (const name of names.splice(0)) await daemon.http("POST", `/api/v1/mags-jobs/${name}/stop`);
});
afterAll(async () => {
  await daemon.remove();
});

const show = async (name: string): Promise<Job> =>
  (await daemon.http("GET", `/api/v1/mags-jobs/${name}/status`)).body as Job;

async function until(name: string, reached: (job: Job) => boolean): Promise<Job> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const job = await show(name);
    if (reached(job)) return job;
    if (Date.now() > deadline) throw new Error(`not reached: ${JSON.stringify(job)}`);
    await delay(100);
  }
}

async function start(name: string, options: object = {}): Promise<Job> {
  names.push(name);
  const body = { script: "true", name, workspace_id: name, persistent: true, idle_minutes: 60, ...options };
  const { status } = await daemon.http("POST", "/api/v1/mags-jobs", body);
  expect(status).toBe(202);
  return until(name, (job) => job.status === "running" && job.exit_code !== null);
}

async function log(id: string): Promise<string[]> {
  const { body } = await daemon.http("GET", `/api/v1/mags-jobs/${id}/logs`);
  return (body.logs ?? []).map((entry: { message: string }) => entry.message);
}

/** Output of a script that runs in the machine of the job of that name, because it has the workspace. */
async function inside(name: string, script: string): Promise<string> {
  const mags = await daemon.client();
  const body = { script, workspace_id: name };
  const { body: job } = await daemon.http("POST", "/api/v1/mags-jobs", body);
  await mags.wait(job.request_id);
  const entries = await mags.logs(job.request_id);
  return entries.flatMap(({ source, message }) => (source === "stdout" ? [message] : [])).join("\n");
}

const verb = (name: string, what: string, body?: object) =>
  daemon.http("POST", `/api/v1/mags-jobs/${name}/${what}`, body);

test("a machine that nobody uses sleeps, gives its room back, and says why", async () => {
  const job = await start("idler", { idle_minutes: undefined });
  expect(job.activity).toMatchObject({ state: "awake", wakes: 0 });
  const asleep = await until("idler", ({ status }) => status === "sleeping");
  expect(asleep.activity).toMatchObject({ state: "asleep", because: "it was not used for 0.05 min" });
  expect(asleep.exit_code).toBe(0);
  await untilEmpty(async () => (await daemon.leftovers()).filter((line) => line.includes(job.vm_id as string)), 20_000);
});

test("sleep and wake on request: files stay, the startup command runs, the log goes on and the first script does not run again", async () => {
  const { request_id } = await start("box", {
    script: "echo once >> /root/log; echo from the script",
    startup_command: "echo woke >> /root/log; echo from startup; sleep 1000",
  });
  const slept = await verb("box", "sleep");
  expect([slept.status, slept.body.status]).toEqual([200, "sleeping"]);
  const woken = await verb("box", "wake");
  expect(woken.body).toMatchObject({ status: "running", exit_code: 0, activity: { state: "awake", wakes: 1 } });
  await expect.poll(() => log(request_id), { timeout: 20_000 }).toContain("from startup");
  const lines = await log(request_id);
  expect(lines.filter((line) => line === "from the script")).toHaveLength(1);
  expect(lines.join("\n")).toMatch(/asleep: somebody asked for it[\s\S]*awake: somebody woke it[\s\S]*from startup/);
  await verb("box", "sleep");
  await verb("box", "wake");
  await expect.poll(() => inside("box", "cat /root/log"), { timeout: 20_000 }).toBe("once\nwoke\nwoke");
  await verb("box", "stop");
  const end = await until(request_id, ({ status }) => status === "stopped");
  expect(end).toMatchObject({ exit_code: 0, reason: "stopped" });
});

test("the visitor of a sleeping machine's URL is held and answered", async () => {
  const serve = "mkdir -p /www; echo page > /www/index.html; exec python3 -m http.server 8080 -d /www";
  const { request_id } = await start("site", { startup_command: serve });
  const { url } = (await verb("site", "access", { port: 8080 })).body;
  await verb("site", "sleep");
  expect(await run("curl", ["-sS", "--max-time", "40", url])).toBe("page");
  expect((await show("site")).activity).toMatchObject({ state: "awake", wakes: 1 });
  expect(await log(request_id)).toContain("awake: a visitor of its URL");
});

test("a command wakes the machine that it is for", async () => {
  await start("door", { script: "echo kept > /root/file" });
  await verb("door", "sleep");
  const answer = await verb("door", "exec", { command: "cat /root/file" });
  expect(answer.body).toMatchObject({ exit_code: 0, stdout: "kept\n" });
  expect((await show("door")).activity).toMatchObject({ state: "awake", wakes: 1 });
});

test("work in the background keeps a machine awake", async () => {
  await start("builder", {
    idle_minutes: 0.25,
    script: "(timeout 20 sh -c 'while :; do :; done') >/dev/null 2>&1 &",
  });
  await delay(17_000);
  const busy = await show("builder");
  expect([busy.status, busy.activity?.because]).toEqual(["running", expect.stringContaining("of a CPU")]);
  await until("builder", ({ status }) => status === "sleeping");
});

test("no_sleep holds, can be changed, and brings back a machine that was killed", async () => {
  await start("server", { idle_minutes: 0.02, no_sleep: true, startup_command: "echo up >> /root/ups" });
  await delay(11_000);
  expect((await show("server")).status).toBe("running");
  const sandbox = (await show("server")).vm_id as string;
  await daemon.killSandbox(sandbox);
  await until("server", ({ status, activity }) => status === "running" && activity?.wakes === 1);
  await daemon.http("PATCH", "/api/v1/mags-jobs/server", { no_sleep: false });
  await until("server", ({ status }) => status === "sleeping");
});

test("a job on the workspace of a sleeping machine wakes it and runs there", async () => {
  const owner = await start("owner", { script: "echo data > /root/data" });
  await verb("owner", "sleep");
  expect(await inside("owner", "cat /root/data; echo $HOSTNAME")).not.toContain(owner.vm_id);
  const woken = await show("owner");
  expect(woken.activity).toMatchObject({ state: "awake", wakes: 1 });
  expect(await inside("owner", "cat /root/data; echo $HOSTNAME")).toBe(`data\n${woken.vm_id}`);
});

test("a killed server and agent find sleeping machines asleep, and wake them", async () => {
  const { request_id } = await start("deep", { script: "echo deep > /root/deep; echo printed" });
  await verb("deep", "sleep");
  await daemon.kill();
  await daemon.start();
  expect((await show("deep")).status).toBe("sleeping");
  await expect.poll(() => log(request_id), { timeout: 20_000 }).toContain("printed");
  expect((await verb("deep", "wake")).body.status).toBe("running");
  await daemon.kill();
  await daemon.start();
  expect(await inside("deep", "cat /root/deep")).toBe("deep");
  expect((await show("deep")).activity).toMatchObject({ state: "awake", wakes: 1 });
});

test("what cannot sleep or wake is refused with the reason", async () => {
  const plain = await daemon.http("POST", "/api/v1/mags-jobs", { script: "sleep 30", name: "plain" });
  await until("plain", ({ status }) => status === "running");
  expect(await verb("plain", "sleep")).toMatchObject({
    status: 409,
    body: { message: expect.stringContaining("persistent") },
  });
  await verb("plain", "stop");
  await until(plain.body.request_id, ({ status }) => status === "stopped");
  expect(await verb(plain.body.request_id, "wake")).toMatchObject({ status: 409 });
  expect(await verb("nobody", "wake")).toMatchObject({ status: 404 });
});

test("a sleeping job is stopped at once", async () => {
  const { request_id } = await start("tired");
  await verb("tired", "sleep");
  expect((await verb("tired", "stop")).status).toBe(202);
  expect((await show(request_id)).status).toBe("stopped");
});
