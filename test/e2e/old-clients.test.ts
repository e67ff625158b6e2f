/** The requests of the hosted service's clients, as programs that were written for it send them. */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";

let daemon: Daemon;
beforeAll(async () => {
  daemon = await Daemon.start();
});
afterAll(() => daemon.remove());

/** As they poll: once a second, until `enough`. */
async function poll(path: string, enough: (body: Record<string, unknown>) => boolean) {
  for (let look = 0; look < 60; look++) {
    const { status, body } = await daemon.http("GET", path);
    expect(status).toBe(200);
    if (enough(body)) return body;
    await delay(1000);
  }
  throw new Error(`${path} did not come to that`);
}

const ended = (body: Record<string, unknown>) => body.status === "completed" || body.status === "error";

describe.each(["/api/v1", "/api/v2"])("through %s", (base) => {
  test("a job is submitted, polled once a second, and its lines are read in one piece", async () => {
    const sent = await daemon.http("POST", `${base}/mags-jobs`, {
      script: "for i in 1 2 3; do echo line $i; done; sleep 1; exit 2",
      type: "inline",
      persistent: false,
    });
    expect(sent).toMatchObject({ status: 202, body: { status: "accepted", message: expect.any(String) } });
    const id = sent.body.request_id;
    const job = await poll(`${base}/mags-jobs/${id}/status`, ended);
    expect(job).toMatchObject({ request_id: id, status: "completed", exit_code: 2 });
    expect(job.script_duration_ms).toBeGreaterThan(900);
    const { body } = await daemon.http("GET", `${base}/mags-jobs/${id}/logs`);
    const lines = body.logs.filter((entry: { source: string }) => entry.source === "stdout");
    expect(lines.map((entry: { message: string }) => entry.message)).toEqual(["line 1", "line 2", "line 3"]);
    expect(lines[0]).toMatchObject({ timestamp: expect.stringMatching(/^\d{4}-/), level: "info" });
  });

  test("a machine is made as new() does it, found in the list, changed, stopped without a body", async () => {
    const name = `box${base.at(-1)}`;
    const sent = await daemon.http("POST", `${base}/mags-jobs`, {
      script: "sleep infinity",
      type: "inline",
      persistent: true,
      name,
      vcpus: 1,
      memory_mb: 256,
      no_sync: true,
      startup_command: "sleep infinity",
    });
    const id = sent.body.request_id;
    await poll(`${base}/mags-jobs/${id}/status`, (body) => body.status === "running" && Boolean(body.vm_id));
    const list = await daemon.http("GET", `${base}/mags-jobs?page=1&page_size=50`);
    const found = list.body.jobs.find((job: { name: string; status: string }) => job.name === name);
    expect(found).toMatchObject({ request_id: id, status: "running", workspace_id: null });
    expect((await daemon.http("GET", `${base}/mags-jobs/${name}/status`)).body.request_id).toBe(id);
    const changed = await daemon.http("PATCH", `${base}/mags-jobs/${id}`, { no_sleep: true });
    expect(changed).toMatchObject({ status: 200, body: { no_sleep: true } });
    expect((await daemon.http("POST", `${base}/mags-jobs/${id}/stop`)).status).toBe(202);
    await poll(`${base}/mags-jobs/${id}/status`, (body) => body.status === "stopped");
  });

  test("settings in the environment are understood and do not reach the script", async () => {
    const environment = {
      A: "kept",
      __MAGS_IDLE_MIN: "5",
      __MAGS_KEEP_ALIVE: "true",
      __MAGS_MEM_GB: "0.25",
      __MAGS_ROOTFS_TYPE: "standard",
    };
    const script = "env; cat /sys/fs/cgroup/memory.max 2>/dev/null; echo $A";
    const sent = await daemon.http("POST", `${base}/mags-jobs`, { script, type: "inline", environment });
    const id = sent.body.request_id;
    const job = await poll(`${base}/mags-jobs/${id}/status`, ended);
    expect(job).toMatchObject({ status: "completed", exit_code: 0, ran_by: { limits: { memory_mb: 256 } } });
    const { body } = await daemon.http("GET", `${base}/mags-jobs/${id}/logs`);
    const output = body.logs.map((entry: { message: string }) => entry.message).join("\n");
    expect(output).toContain("kept");
    expect(output).not.toContain("__MAGS");
  });
});

test("an error has a sentence at its top level, which they print", async () => {
  for (const [method, path, body, status] of [
    ["GET", "/api/v1/mags-jobs/nobody/status", undefined, 404],
    ["POST", "/api/v2/mags-jobs", { type: "inline" }, 400],
    ["POST", "/api/v1/mags-jobs", "no json", 400],
    ["PUT", "/api/v1/mags-jobs", {}, 405],
  ] as const) {
    const answer = await daemon.http(method, path, body);
    expect(answer.status).toBe(status);
    expect(answer.body.message).toMatch(/\w+ \w+/);
  }
  const stranger = await daemon.http("GET", "/api/v1/mags-jobs", undefined, { authorization: "Bearer no" });
  expect(stranger).toMatchObject({ status: 401, body: { message: expect.any(String) } });
});
