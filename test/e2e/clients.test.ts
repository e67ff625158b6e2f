/** What people and programs meet: the command line, the Node SDK and plain HTTP against one daemon. */
import { setTimeout as delay } from "node:timers/promises";
import { type Followed, Mags, MagsError } from "@mags/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Daemon, untilEmpty } from "../harness/daemon.ts";

let daemon: Daemon;
let mags: Mags;

beforeAll(async () => {
  daemon = await Daemon.start();
  mags = await daemon.client();
});
afterAll(() => daemon.remove());

const collect = async (items: AsyncIterable<Followed>): Promise<Followed[]> => {
  const all: Followed[] = [];
  for await (const item of items) all.push(item);
  return all;
};

describe("the SDK", () => {
  test("raises an error with status, code, field and what to do", async () => {
    const refused = await mags.run("true", { timeout: -1 }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(MagsError);
    expect(refused).toMatchObject({ statusCode: 400, code: "invalid_request", field: "timeout" });
    expect((refused as MagsError).message).toContain("timeout");
    expect((refused as MagsError).hint).toBeTruthy();
    const unknown = "00000000-0000-4000-8000-000000000000";
    const calls = [
      () => mags.status(unknown),
      () => mags.logs(unknown),
      () => mags.stop(unknown),
      () => collect(mags.followLogs(unknown)),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ statusCode: 404, code: "not_found" });
    const stranger = new Mags({ apiUrl: daemon.url, apiToken: "wrong" });
    await expect(stranger.list()).rejects.toMatchObject({ statusCode: 401, code: "unauthorized" });
  });

  test("lists newest first, page by page, every job once", async () => {
    const names = Array.from({ length: 7 }, (_, number) => `page-${number}`);
    for (const name of names) await mags.runAndWait("true", { name });
    const seen: string[] = [];
    for (let page = 1; page <= 5; page++) {
      const answer = await mags.list({ page, pageSize: 2 });
      expect(answer).toMatchObject({ page, page_size: 2 });
      expect(answer.total).toBeGreaterThanOrEqual(names.length);
      seen.push(...answer.jobs.map((job) => job.name).filter((name) => name.startsWith("page-")));
    }
    expect(seen).toEqual(names.toReversed());
    expect((await mags.list({ name: "page-3" })).jobs.map((job) => job.name)).toEqual(["page-3"]);
    expect((await mags.list({ page: 1000 })).jobs).toEqual([]);
  });

  test("sees a pool whose numbers add up while jobs come and go", async () => {
    // A job is over a moment before its machine is gone, so that there may be some of earlier ones.
    const earlier = (await mags.poolStatus()).busy_vms;
    const running = Array.from({ length: 6 }, () => mags.runAndWait("sleep 1"));
    for (let look = 0; look < 10; look++) {
      const pool = await mags.poolStatus();
      expect(pool.idle_vms + pool.busy_vms).toBe(pool.total_vms);
      expect(pool.min_pool_size).toBeLessThanOrEqual(pool.max_pool_size);
      expect(pool.busy_vms).toBeLessThanOrEqual(earlier + 6);
      await delay(100);
    }
    await Promise.all(running);
    await expect.poll(async () => (await mags.poolStatus()).busy_vms, { timeout: 20_000 }).toBeLessThanOrEqual(earlier);
  });

  test("follows a log from before the start, and once more from the end, with the same result", async () => {
    const { requestId } = await mags.run("sleep 0.5; echo one; sleep 0.5; echo two >&2; exit 9");
    const live = await collect(mags.followLogs(requestId));
    const again = await collect(mags.followLogs(requestId));
    const shown = (items: Followed[]) =>
      items.flatMap((item) =>
        item.type === "entry" && item.source !== "system" ? [`${item.source} ${item.message}`] : [],
      );
    expect(shown(live)).toEqual(["stdout one", "stderr two"]);
    expect(shown(again)).toEqual(shown(live));
    const end = {
      type: "end",
      status: "completed",
      exit_code: 9,
      bytes: { stdout: 4, stderr: 4 },
      dropped: { stdout: 0 },
    };
    expect(live.at(-1)).toMatchObject(end);
    expect(again.at(-1)).toMatchObject(end);
  });

  test("stops a job in every moment of its life", async () => {
    const ids = await Promise.all(
      Array.from({ length: 6 }, async (_, number) => {
        const { requestId } = await mags.run("sleep 60");
        await delay(number * 60);
        await mags.stop(requestId);
        return requestId;
      }),
    );
    for (const id of ids) expect(await mags.wait(id)).toMatchObject({ status: "stopped", reason: "stopped" });
    await expect(mags.stop(ids[0] as string)).rejects.toMatchObject({ statusCode: 409, code: "conflict" });
  });

  test("says that nobody answers, and where it looked", async () => {
    const lost = new Mags({ apiUrl: "http://127.0.0.1:1", apiToken: "x" });
    await expect(lost.list()).rejects.toMatchObject({
      code: "unreachable",
      message: expect.stringContaining("127.0.0.1:1"),
    });
  });
});

describe("the command line", () => {
  test("detaches, follows, shows and lists", async () => {
    const id = String(
      (await daemon.cli(["run", "-d", "-n", "detached", "echo one; sleep 1; echo two >&2"])).stdout,
    ).trim();
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(await daemon.cli(["logs", "-f", id])).toMatchObject({
      exitCode: 0,
      stdout: "one\n",
      stderr: expect.stringMatching(/^two$/m),
    });
    expect(await daemon.cli(["logs", id])).toMatchObject({
      exitCode: 0,
      stdout: "one\n",
      stderr: expect.stringMatching(/^two$/m),
    });
    await mags.wait(id);
    expect(JSON.parse(String((await daemon.cli(["status", id, "--json"])).stdout))).toMatchObject({
      request_id: id,
      name: "detached",
      status: "completed",
      exit_code: 0,
    });
    expect((await daemon.cli(["list", "--name", "detached"])).stdout).toMatch(
      /ID +NAME +STATUS.*\n.*detached +completed/,
    );
  });

  test("exits with 124 at the time limit, 125 where nothing ran, 2 for a wrong use", async () => {
    const late = await daemon.cli(["run", "--timeout", "1", "sleep 30"]);
    expect(late.exitCode).toBe(124);
    expect(late.stderr).toContain("limit of 1 s");
    expect((await daemon.cli(["run", "--no-such-option", "true"])).exitCode).toBe(2);
    const refused = await daemon.cli(["run", "--isolation", "vm", "true"]);
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toMatch(/isolation[\s\S]*hint/);
  });

  test("passes a large output on whole, through a slow reader too", async () => {
    const result = await daemon.cli(["run", "head -c 8000000 /dev/zero | tr '\\0' 'x'"]);
    expect(String(result.stdout)).toHaveLength(8_000_000);
  });

  test("stops a job by its name", async () => {
    await mags.run("sleep 60", { name: "by-name" });
    expect((await daemon.cli(["stop", "by-name"])).exitCode).toBe(0);
    const [job] = (await mags.list({ name: "by-name" })).jobs;
    expect((await mags.wait(job?.request_id as string)).status).toBe("stopped");
  });

  test("measures this machine beside the bare runtime", async () => {
    const run = await daemon.cli(["bench", "run", "--runs", "1", "--json"]);
    expect(run).toMatchObject({ exitCode: 0 });
    const { results, ratios } = JSON.parse(run.stdout as string);
    for (const name of ["mags", "crun, same bundle", "crun, plain bundle", "podman run"])
      expect(results[name].p50, `${name}; ${run.stderr}`).toBeGreaterThan(0);
    expect(ratios["mags / crun, same bundle"]).toBeCloseTo(results.mags.p50 / results["crun, same bundle"].p50);
    const node = await daemon.cli(["bench", "node", "--runs", "2", "--json"]);
    expect(JSON.parse(node.stdout as string).results["all at once"].p99).toBeGreaterThan(0);
    await untilEmpty(async () => (await mags.list({ status: "running" })).jobs.map(({ name }) => name));
  });

  test("has a help that names every command", async () => {
    const result = await daemon.cli(["--help"]);
    expect(result.exitCode).toBe(0);
    for (const command of ["run", "list", "status", "logs", "stop", "set", "pool", "doctor", "bench"])
      expect(result.stdout).toMatch(new RegExp(`^  ${command}\\b`, "m"));
  });
});

describe("plain HTTP", () => {
  const url = "/api/v1/mags-jobs";

  test("a wrong request creates nothing, names the field and says how to mend it", async () => {
    const before = (await mags.list()).total;
    const bodies: [unknown, string][] = [
      [{}, "script"],
      [{ script: 5 }, "script"],
      [{ script: "x", timeout: 1e12 }, "timeout"],
      [{ script: "x", memory_mb: -5 }, "memory_mb"],
      [{ script: "x", vcpus: 1e9 }, "vcpus"],
      [{ script: "x", environment: { "a b": "c" } }, "environment.a b"],
      [{ script: "x".repeat(1024 * 1024 + 1) }, "script"],
    ];
    for (const [body, field] of bodies) {
      const answer = await daemon.http("POST", url, body);
      expect(answer.status, field).toBe(400);
      expect(answer.body.error).toMatchObject({ code: "invalid_request", field });
      expect(answer.body.error.hint).toBeTruthy();
      expect(answer.body.message).toBe(answer.body.error.message);
    }
    expect((await daemon.http("POST", url, "{oops")).body.error.code).toBe("malformed_json");
    // The server hangs up on a body that it will not read; whether its answer is seen before is the network's choice.
    const large = daemon.http("POST", url, JSON.stringify({ script: "x".repeat(5_000_000) }));
    expect(
      await large.then(
        ({ status }) => status,
        () => 413,
      ),
    ).toBe(413);
    expect((await daemon.http("GET", `${url}/unknown/status`)).status).toBe(404);
    expect((await daemon.http("GET", url, undefined, { authorization: "Bearer no" })).status).toBe(401);
    expect((await mags.list()).total).toBe(before);
  });

  test("version 2 is the same, and the server describes itself", async () => {
    const made = await daemon.http("POST", "/api/v2/mags-jobs", { script: "echo v2" });
    expect(made).toMatchObject({ status: 202, body: { status: "accepted" } });
    expect(await mags.wait(made.body.request_id)).toMatchObject({ status: "completed" });
    expect((await daemon.http("GET", "/openapi.json")).body.openapi).toMatch(/^3\.1/);
    for (const path of ["/healthz", "/readyz"]) expect((await fetch(`${daemon.url}${path}`)).status).toBe(200);
  });
});
