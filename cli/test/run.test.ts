/** `mags run` and `mags logs` against a server that speaks the wire: bytes, exit codes, interrupts. */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { endEvent, json, logEntry, refusal, serve, type WireServer } from "../../sdk/node/test/wire.ts";
import { home, mags } from "./golden.ts";

const ended = { status: "completed", exit_code: 0, reason: "exited", error: null };
const event = (entry: object, cursor: string) => `event: entry\nid: ${cursor}\ndata: ${JSON.stringify(entry)}\n\n`;

interface Script {
  /** what the followed log says before it ends */
  events: string;
  final: object;
  /** the log stays open until the job is stopped */
  open?: boolean;
  page?: object[];
}

async function fake(script: Script): Promise<WireServer & { env: Record<string, string> }> {
  const stopped = Promise.withResolvers<void>();
  let final = script.final;
  const server = await serve(async (request, response) => {
    const url = request.url ?? "";
    if (url.endsWith("/mags-jobs")) return json(response, 202, { request_id: "j1", name: "n1", status: "accepted" });
    if (url.endsWith("/stop")) {
      final = { status: "stopped", exit_code: null, reason: "stopped", error: null };
      stopped.resolve();
      return json(response, 202, {});
    }
    if (url.includes("/status")) {
      if (script.open) await Promise.race([stopped.promise, delay(20_000)]);
      return json(response, 200, final);
    }
    if (!url.includes("follow=1")) return json(response, 200, { logs: script.page ?? [], end: null, next: null });
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`retry: 500\n\n${script.events}`);
    if (script.open) await stopped.promise;
    response.end(endEvent);
  });
  return Object.assign(server, { env: { MAGS_API_URL: server.url, MAGS_API_TOKEN: "secret" } });
}

test("both outputs arrive byte for byte, and what Mags says only when asked for", async () => {
  const binary = { ...logEntry(0), message: "AP/+Cg0=", encoding: "base64", newline: false };
  const events =
    event({ ...logEntry(0), source: "system", message: "started" }, "0.0.7") +
    event(binary, "5.0.7") +
    event({ ...logEntry(0), source: "stderr", message: "no newline", newline: false }, "5.10.7") +
    event({ ...logEntry(0), source: "system", level: "warn", message: "the log was cut" }, "5.10.20");
  await using server = await fake({ events, final: ended });
  const bytes = { encoding: "buffer" as const };
  const quiet = await mags(["run", "x"], server.env, bytes);
  expect([...(quiet.stdout as unknown as Uint8Array)]).toEqual([0, 255, 254, 10, 13]);
  expect(Buffer.from(quiet.stderr as unknown as Uint8Array).toString()).toBe("no newlinemags: the log was cut\n");
  const verbose = await mags(["logs", "-f", "--verbose", "j1"], server.env);
  expect(verbose.stderr).toBe("mags: started\nno newlinemags: the log was cut\n");
  const asJson = await mags(["run", "--json", "x"], server.env);
  expect(JSON.parse(String(asJson.stdout))).toEqual(ended);
});

test.for([
  [{ ...ended, exit_code: 3 }, 3, ""],
  [{ status: "error", exit_code: null, reason: "start_failed", error: "no room" }, 125, "error: no room\n"],
  [{ status: "error", exit_code: 137, reason: "out_of_memory", error: "too little" }, 125, "error: too little\n"],
  [{ status: "error", exit_code: null, reason: "timeout", error: "the limit" }, 124, "error: the limit\n"],
  [{ status: "stopped", exit_code: null, reason: "stopped", error: null }, 130, ""],
] as const)("%o exits with %i", async ([final, exitCode, stderr]) => {
  await using server = await fake({ events: "", final });
  expect(await mags(["run", "x"], server.env)).toMatchObject({ exitCode, stderr, stdout: "" });
});

test("the script comes from words, a file or standard input, with its settings", async () => {
  await using server = await fake({ events: "", final: ended });
  const file = join(home, "script.sh");
  writeFileSync(file, "from file\n");
  await mags(["run", "-d", "echo", "two words"], server.env);
  await mags(["run", "-d", "-f", file, "-e", "A=1=2", "-e", "B=", "--memory", "64", "--cpus", "0.5"], server.env);
  await mags(["run", "-d", "-"], server.env, { input: "from stdin\n" });
  const detached = await mags(["run", "-d", "-p", "--no-sleep"], server.env, { input: "no argument\n" });
  expect(detached.stdout).toBe("j1\n");
  expect(server.seen.map(({ body }) => JSON.parse(body))).toEqual([
    { script: "echo two words" },
    { script: "from file\n", environment: { A: "1=2", B: "" }, memory_mb: 64, vcpus: 0.5 },
    { script: "from stdin\n" },
    { script: "no argument\n", persistent: true, no_sleep: true },
  ]);
});

test("a persistent job's command ends with its script, with all of its output", async () => {
  const page = [{ ...logEntry(1), message: "said at the last moment" }];
  const server = await serve((request, response) => {
    const url = request.url ?? "";
    if (url.endsWith("/mags-jobs")) return json(response, 202, { request_id: "j1", name: "n1", status: "accepted" });
    if (url.includes("/status"))
      return void setTimeout(
        () => json(response, 200, { ...ended, status: "running", persistent: true, exit_code: 6 }),
        300,
      );
    if (!url.includes("follow=1")) return json(response, 200, { logs: page, end: null, next: null });
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(event(logEntry(0), "10.0.0")); // and stays open, as the machine does
  });
  await using _ = server;
  const result = await mags(["run", "-p", "x"], { MAGS_API_URL: server.url, MAGS_API_TOKEN: "secret" });
  expect(result).toMatchObject({ exitCode: 6, stdout: "line 0000\nsaid at the last moment\n" });
  expect(server.seen.at(-2)?.line).toBe("GET /api/v1/mags-jobs/j1/logs?after=10.0.0");
});

test("Ctrl-C stops the job and exits with 130; a second one leaves at once", async () => {
  await using server = await fake({ events: event(logEntry(0), "10.0.0"), final: ended, open: true });
  const running = mags(["run", "x"], server.env);
  await once(running.stdout!, "data");
  running.kill("SIGINT");
  expect((await running).exitCode).toBe(130);
  expect(server.seen.filter(({ line }) => line.endsWith("/stop"))).toHaveLength(1);

  await using deaf = await serve((request, response) => {
    if (request.url?.endsWith("/mags-jobs"))
      return json(response, 202, { request_id: "j1", name: "n1", status: "accepted" });
    if (!request.url?.includes("follow=1")) return; // neither stop nor status is ever answered
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(event(logEntry(0), "10.0.0"));
  });
  const stuck = mags(["run", "x"], { ...server.env, MAGS_API_URL: deaf.url });
  await once(stuck.stdout!, "data");
  stuck.kill("SIGINT");
  await delay(200);
  stuck.kill("SIGINT");
  expect((await stuck).exitCode).toBe(130);
});

test("a reader that leaves stops the job", async () => {
  const line = { ...logEntry(0), message: "x".repeat(60_000) };
  const events = Array.from({ length: 20 }, (_, number) => event(line, `${number}.0.0`)).join("");
  await using server = await fake({ events, final: ended, open: true });
  const running = mags(["run", "x"], server.env);
  await once(running.stdout!, "data");
  running.stdout!.destroy();
  expect((await running).exitCode).toBe(141);
  expect(server.seen.some(({ line }) => line.endsWith("/stop"))).toBe(true);
});

test("a job that ended while it was being stopped is no error", async () => {
  await using server = await serve(async (request, response) => {
    const url = request.url ?? "";
    if (url.endsWith("/mags-jobs")) return json(response, 202, { request_id: "j1", name: "n1", status: "accepted" });
    if (url.endsWith("/stop")) return json(response, 409, refusal("conflict", "it has ended", "look"));
    if (url.includes("/status")) return json(response, 200, ended);
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(event(logEntry(0), "10.0.0"));
    await delay(800);
    response.end(endEvent);
  });
  const running = mags(["run", "x"], { MAGS_API_URL: server.url, MAGS_API_TOKEN: "secret" });
  await once(running.stdout!, "data");
  running.kill("SIGINT");
  expect(await running).toMatchObject({ exitCode: 0, stderr: "" });
});

test("what would steer the terminal is taken out of what Mags says, and left in what a script says", async () => {
  const hostile = "\u001b]0;owned\u0007\u001b[2J\u202eend\u009b1A";
  const events =
    event({ ...logEntry(0), message: hostile }, "9.0.0") +
    event({ ...logEntry(0), source: "system", level: "warn", message: hostile }, "9.0.9");
  const failed = { status: "error", exit_code: null, reason: "not_started", error: `no ${hostile}\nor line two` };
  await using server = await fake({ events, final: failed });
  const { stdout, stderr } = await mags(["run", "x"], server.env);
  expect(stdout).toContain("\u001b[2J");
  expect(stderr).toContain("mags: ?end");
  expect(stderr).toContain("error: no ?end");
  expect(stderr).toContain("\nor line two");
  expect(String(stderr).replaceAll("\n", "")).not.toMatch(/[\p{Cc}\u202e]/u);
});
