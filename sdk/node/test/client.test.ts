import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { Mags, MagsError } from "../src/index.ts";
import { json, logEntry, refusal, serve } from "./wire.ts";

const accepted = { request_id: "5d3c", name: "brave-otter", status: "accepted" };
const client = (apiUrl: string, timeout = 5) => new Mags({ apiUrl: `${apiUrl}/`, apiToken: "secret", timeout });

test("a script is sent in the wire's spelling, with a token and an idempotency key", async () => {
  await using server = await serve((_, response) => json(response, 202, accepted));
  const options = { persistent: true, noSleep: true, startupCommand: "x", memoryMb: 64, diskGb: 1, rootfsType: "base" };
  expect(await client(server.url).run("true", { ...options, environment: { A: "b" }, timeout: 7 })).toEqual({
    requestId: "5d3c",
    name: "brave-otter",
    status: "accepted",
  });
  const { line, headers, body } = server.seen[0]!;
  expect(line).toBe("POST /api/v1/mags-jobs");
  expect(headers).toMatchObject({ authorization: "Bearer secret", "content-type": "application/json" });
  expect(headers["idempotency-key"]).toMatch(/^[0-9a-f]{32}$/);
  expect(JSON.parse(body)).toEqual({
    script: "true",
    persistent: true,
    no_sleep: true,
    startup_command: "x",
    environment: { A: "b" },
    timeout: 7,
    memory_mb: 64,
    disk_gb: 1,
    rootfs_type: "base",
  });
});

test("a POST that is tried again carries the same key, so that it starts one job", async () => {
  let calls = 0;
  await using server = await serve((request, response) => {
    calls++;
    if (calls === 1) return void request.socket.destroy();
    if (calls === 2) return json(response, 503, refusal("unavailable", "starting", "wait"));
    if (calls === 3) {
      // the headers arrive, the answer does not
      response.writeHead(202, { "content-length": "100" });
      response.write("{", () => request.socket.destroy());
      return;
    }
    json(response, 202, accepted);
  });
  await client(server.url).run("true");
  expect(server.seen).toHaveLength(4);
  expect(new Set(server.seen.map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
});

test("Retry-After is waited for, and not where it is longer than the call may take", async () => {
  let seconds = "1";
  let calls = 0;
  await using server = await serve((_, response) => {
    if (calls++ === 0)
      return json(response, 429, refusal("rate_limited", "slowly", "wait"), { "retry-after": seconds });
    json(response, 200, { jobs: [], total: 0, page: 1, page_size: 20 });
  });
  const started = performance.now();
  await client(server.url).list();
  expect(performance.now() - started).toBeGreaterThan(950);
  calls = 0;
  seconds = "60";
  await expect(client(server.url).list()).rejects.toMatchObject({ statusCode: 429, retryAfter: 60 });
});

test("an error has what the server said", async () => {
  await using server = await serve((_, response) => {
    const error = { code: "invalid_request", message: "timeout: too small", hint: "Correct it.", field: "timeout" };
    json(response, 400, { message: error.message, error: { ...error, request_id: "r1" } });
  });
  const error = await client(server.url)
    .run("true")
    .catch((raised: unknown) => raised);
  expect(error).toBeInstanceOf(MagsError);
  expect(error).toMatchObject({
    message: "timeout: too small",
    statusCode: 400,
    code: "invalid_request",
    hint: "Correct it.",
    field: "timeout",
    requestId: "r1",
  });
  expect(server.seen).toHaveLength(1);
});

test("answers of something that is no Mags server are errors that show them", async () => {
  let status = 502;
  await using server = await serve((_, response) => {
    response.writeHead(status).end("<h1>proxy</h1>");
  });
  const mags = client(server.url, 0.1);
  await expect(mags.list()).rejects.toMatchObject({ statusCode: 502, message: "502: <h1>proxy</h1>" });
  status = 200;
  await expect(mags.list()).rejects.toMatchObject({ code: "malformed_answer" });
});

test("a call ends at its timeout and at its signal", async () => {
  await using server = await serve(() => undefined);
  await expect(client(server.url, 0.2).status("job")).rejects.toMatchObject({ code: "timeout" });
  const leave = new AbortController();
  setTimeout(() => leave.abort(), 50);
  await expect(client(server.url).wait("job", { signal: leave.signal })).rejects.toMatchObject({ code: "aborted" });
  // Neither is tried again; on a busy machine the end may come before the request has left.
  expect(server.seen.length).toBeLessThanOrEqual(2);
});

test("waiting goes on while the script runs and ends at waitTimeout", async () => {
  let polls = 0;
  await using server = await serve(async (request, response) => {
    polls++;
    await delay(20);
    const ended = request.url?.includes("/short/") && polls === 3;
    json(response, 200, { status: ended ? "completed" : "running", exit_code: ended ? 4 : null });
  });
  expect(await client(server.url).wait("short")).toMatchObject({ status: "completed", exit_code: 4 });
  expect(server.seen[0]?.line).toBe("GET /api/v1/mags-jobs/short/status?wait=25");
  const late = client(server.url).wait("long", { waitTimeout: 0.2 });
  await expect(late).rejects.toMatchObject({ code: "timeout", message: "job long has not ended within 0.2 s" });
});

test("runAndWait puts pages together and characters that were cut in two", async () => {
  const piece = (bytes: number[], offset: number) => ({
    ...logEntry(0),
    message: Buffer.from(bytes).toString("base64"),
    encoding: "base64",
    newline: false,
    offset,
    bytes: bytes.length,
  });
  const pages: Record<string, unknown> = {
    "": { logs: [piece([0x61, 0xc3], 0)], end: null, next: "2.0.0" },
    "?after=2.0.0": { logs: [piece([0xa9], 2), { ...logEntry(0), source: "stderr" }], end: null, next: null },
  };
  await using server = await serve((request, response) => {
    const path = request.url ?? "";
    if (request.method === "POST") return json(response, 202, accepted);
    if (path.includes("/status")) return json(response, 200, { status: "completed", exit_code: 0, duration_ms: 5 });
    json(response, 200, pages[path.slice(path.indexOf("/logs") + 5)]);
  });
  const result = await client(server.url).runAndWait("true");
  expect(result).toMatchObject({ requestId: "5d3c", exitCode: 0, durationMs: 5, stdout: "aé", stderr: "line 0000\n" });
});
