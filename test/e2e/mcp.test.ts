/** `mags mcp` as agents use it: the official client, over standard input and output, against one daemon. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import type { CallToolResult } from "@modelcontextprotocol/sdk/types.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";

const MAGS = new URL("../../cli/bin/mags", import.meta.url).pathname;
const TIMEOUT = { timeout: 120_000 };

let daemon: Daemon;
let client: Client;
let transport: StdioClientTransport;

beforeAll(async () => {
  daemon = await Daemon.start();
  transport = new StdioClientTransport({
    command: MAGS,
    args: ["mcp"],
    env: { ...(process.env as Record<string, string>), ...daemon.env, MAGS_API_TOKEN: await daemon.token() },
    stderr: "inherit",
  });
  client = new Client({ name: "test", version: "1" });
  await client.connect(transport);
});
afterAll(async () => {
  await client.close();
  await daemon.remove();
});

async function call(name: string, args: object = {}, options: object = {}): Promise<{ failed: boolean; text: string }> {
  const request = { name, arguments: args as Record<string, unknown> };
  const result = (await client.callTool(request, undefined, { timeout: 90_000, ...options })) as CallToolResult;
  const [content] = result.content;
  return { failed: result.isError === true, text: content?.type === "text" ? content.text : "" };
}

async function answer(name: string, args: object = {}) {
  const { failed, text } = await call(name, args);
  expect(failed, text).toBe(false);
  return JSON.parse(text);
}

test("it says what it can do, and what changes things", async () => {
  expect(client.getServerVersion()).toMatchObject({ name: "mags" });
  const { tools } = await client.listTools();
  expect(tools.map(({ name }) => name)).toEqual([
    ...["run", "exec", "read_file", "write_file", "list_files", "expose_port", "list_jobs", "logs", "stop"],
    ...["list_workspaces", "fork_workspace", "sync_workspace", "delete_workspace"],
  ]);
  const effects = Object.fromEntries(tools.map(({ name, annotations }) => [name, annotations]));
  expect(effects.read_file).toMatchObject({ readOnlyHint: true, destructiveHint: false });
  expect(effects.delete_workspace).toMatchObject({ readOnlyHint: false, destructiveHint: true });
  expect(tools[0]?.inputSchema).toMatchObject({ required: ["script"] });
});

test("a script is run and its outcome answered, also when it fails", async () => {
  const done = await answer("run", { script: 'echo "$A"; echo e >&2; exit 3', environment: { A: "é" } });
  expect(done).toMatchObject({ status: "completed", exit_code: 3, error: null });
  expect(done.output.split("\n").sort()).toEqual(["", "e", "é"]);
  expect((await answer("logs", { job: done.request_id })).output).toBe(done.output);
  const { jobs } = await answer("list_jobs", { status: "completed" });
  expect(jobs[0]).toMatchObject({ request_id: done.request_id, exit_code: 3 });
  const long = await answer("run", { script: "seq 1 20000" });
  expect(long.output).toMatch(/^\[\d+ characters before this\]\n/);
  expect(long.output.endsWith("\n20000\n")).toBe(true);
});

test("a machine that stays is worked in, seen from outside, and its workspace kept", TIMEOUT, async () => {
  await answer("run", { script: "true", name: "box", workspace: "ws", persistent: true });
  expect(await answer("write_file", { machine: "box", path: "src/a.txt", content: "in a\n" })).toMatchObject({
    bytes: 5,
  });
  await answer("write_file", {
    machine: "box",
    path: "run.sh",
    content: "ZWNobyBvawo=",
    encoding: "base64",
    mode: "755",
  });
  expect(await answer("exec", { machine: "box", command: "./run.sh; cat src/a.txt -", stdin: "x" })).toMatchObject({
    ...{ exit_code: 0, stdout: "ok\nin a\nx", stderr: "" },
  });
  expect(await answer("read_file", { machine: "box", path: "src/a.txt" })).toEqual({ text: "in a\n" });
  await answer("exec", { machine: "box", command: "printf '\\377' > bytes" });
  expect(await answer("read_file", { machine: "box", path: "bytes" })).toEqual({ base64: "/w==" });
  const { entries } = await answer("list_files", { machine: "box" });
  expect(entries.map((entry: { name: string }) => entry.name)).toEqual(expect.arrayContaining(["src", "run.sh"]));
  expect((await answer("expose_port", { machine: "box", port: 8080, access: "token" })).url).toMatch(/^http/);

  expect(await answer("sync_workspace", { workspace: "ws" })).toMatchObject({ synced: true });
  expect(await answer("fork_workspace", { workspace: "ws", to: "ws-2" })).toMatchObject({ workspace_id: "ws-2" });
  const names = (await answer("list_workspaces")).workspaces.map((one: { workspace_id: string }) => one.workspace_id);
  expect(names).toEqual(["ws", "ws-2"]);
  const refused = await call("delete_workspace", { workspace: "ws" });
  expect(refused.failed).toBe(true);
  expect(await answer("stop", { job: "box" })).toEqual({ stopping: "box" });
  await answer("delete_workspace", { workspace: "ws-2" });
  expect((await answer("run", { script: "cat src/a.txt", base_workspace: "ws" })).output).toBe("in a\n");
});

test("what is refused or malformed is told to the agent, with what to do", async () => {
  const unknown = await call("exec", { machine: "nobody", command: "true" });
  expect(unknown).toMatchObject({ failed: true });
  expect(unknown.text).toMatch(/nobody(.*\n)+.+/);
  const malformed = await call("run", { script: 5 });
  expect(malformed.failed).toBe(true);
  expect(malformed.text).toContain("script");
});

test("a run that the client gives up is stopped", TIMEOUT, async () => {
  const leave = new AbortController();
  const given = call("run", { script: "sleep 600", name: "given-up" }, { signal: leave.signal });
  const mags = await daemon.client();
  const job = () => mags.list({ name: "given-up" }).then(({ jobs }) => jobs[0]?.status);
  await expect.poll(job, { timeout: 30_000 }).toBe("running");
  leave.abort();
  await expect(given).rejects.toThrow();
  await expect.poll(job, { timeout: 30_000 }).toBe("stopped");
});

test("it ends with its client", TIMEOUT, async () => {
  const { pid } = transport;
  expect(pid).toBeGreaterThan(0);
  await client.close();
  const gone = () => {
    try {
      process.kill(pid as number, 0);
      return false;
    } catch {
      return true;
    }
  };
  await expect.poll(gone, { timeout: 20_000 }).toBe(true);
});
