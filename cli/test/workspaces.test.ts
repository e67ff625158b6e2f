/** What people read of workspaces, as a golden file each. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { json, refusal, serve, type WireServer } from "../../sdk/node/test/wire.ts";
import { expectGolden, home, mags, session } from "./golden.ts";

const point = {
  durable_at: "2026-01-02T03:04:07.120Z",
  pending_bytes: 1_258_291,
  dirty: true,
  last_sync_ms: 80.4,
  last_error: null,
};
const job = "00000000-0000-4000-8000-000000000009";
const workspace = (workspace_id: string, more: object = {}) => ({
  workspace_id,
  disk_gb: 2,
  size_bytes: 300 * 1024 ** 2,
  stored_bytes: 120 * 1024 ** 2,
  versions: 3,
  latest_version: 3,
  job_count: 7,
  in_use_by: [{ request_id: job, name: "hostile \u001b[2J name", status: "running" }],
  node: "node-1",
  image: null,
  recovery_point: point,
  last_sync_at: "2026-01-02T03:04:07.200Z",
  created_at: "2026-01-01T03:04:07.200Z",
  used_at: "2026-01-02T03:04:07.200Z",
  ...more,
});
const failed = { ...point, last_sync_ms: null, durable_at: null, pending_bytes: 0, last_error: "the bucket is away" };
const idle = { in_use_by: [], node: null, versions: 0, size_bytes: 0, recovery_point: { ...failed, dirty: false } };
const version = (number: number, more: object = {}) => ({
  version: number,
  latest: false,
  reason: "interval",
  request_id: null,
  created_at: "2026-01-02T03:04:07.200Z",
  size_bytes: 1000 * number,
  new_bytes: 1023,
  disk_bytes: 2 ** 31,
  ...more,
});
const synced = {
  workspace_id: "app",
  synced: true,
  version: 3,
  durable_at: point.durable_at,
  sync_ms: 80,
  new_bytes: 5,
};
const sound = { ok: true, chunks: 12, bytes: 12_582_912, bad: [], fsck: { clean: true, output: "" }, took_ms: 1234 };
const damaged = {
  ...sound,
  ok: false,
  bad: [{ key: "orgs/default/chunks/ab/abcd.1", reason: "its bytes have another SHA-256" }],
  mounted: null,
};

const answers: Record<string, [number, object]> = {
  "GET /mags-workspaces": [200, { workspaces: [workspace("app"), workspace("empty", idle)], total: 2 }],
  "GET /mags-workspaces/app": [200, workspace("app")],
  "GET /mags-workspaces/empty": [200, workspace("empty", idle)],
  "GET /mags-workspaces/app/versions": [
    200,
    { workspace_id: "app", versions: [version(3, { latest: true, reason: "rollback" }), version(2), version(1)] },
  ],
  "GET /mags-workspaces/empty/versions": [200, { workspace_id: "empty", versions: [] }],
  "POST /mags-workspaces/app/fork": [201, workspace("app-next")],
  "POST /mags-workspaces/app/rollback": [200, version(4, { latest: true, reason: "rollback" })],
  "POST /mags-workspaces/app/sync": [200, { ...synced, message: `everything up to ${point.durable_at} is durable` }],
  "POST /mags-jobs/app/sync": [200, { ...synced, message: `everything up to ${point.durable_at} is durable` }],
  "POST /mags-workspaces/app/verify": [200, { ...sound, mounted: { inodes: 345, bytes: 6 } }],
  "POST /mags-workspaces/broken/verify": [200, damaged],
  "POST /mags-workspaces/app/import": [200, { path: "/srv" }],
  "POST /mags-workspaces/app/resize": [200, workspace("app", { disk_gb: 10 })],
  "DELETE /mags-workspaces/app": [
    409,
    refusal(
      "workspace_in_use",
      `workspace "app" is in use by 1 job(s): ${job}`,
      "Wait, stop them, or send force=true.",
    ),
  ],
  "DELETE /mags-workspaces/app?force=1": [200, { workspace_id: "app", deleted: true, stopped_jobs: [job] }],
  "DELETE /mags-workspaces/app/versions/2": [200, { workspace_id: "app", version: 2, deleted: true }],
};
const missing: [number, object] = [404, refusal("not_found", "there is no such workspace", "List what exists.")];

let server: WireServer;
let env: Record<string, string>;
beforeAll(async () => {
  server = await serve((request, response) => {
    const [url = "", query] = (request.url ?? "").replace("/api/v1", "").split("?");
    if (url.endsWith("/export")) return void response.writeHead(200).end(`bytes of ${url}?${query}`);
    const line = `${request.method} ${url}`;
    json(response, ...(answers[query === "force=1" ? `${line}?${query}` : line] ?? missing));
  });
  env = { MAGS_API_URL: server.url, MAGS_API_TOKEN: "secret" };
});
afterAll(() => server[Symbol.asyncDispose]());

describe("help", () => {
  const verbs = ["list", "show", "versions", "fork", "rollback", "sync", "verify", "export", "import", "delete"];
  test.for(["workspace", ...verbs.map((verb) => `workspace ${verb}`), "sync", "resize"])("%s", async (command) => {
    const text = await session([...command.split(" "), "--help"]);
    expect(text).toContain("Example:");
    expectGolden(`help-${command.replaceAll(" ", "-")}`, text);
  });
});

describe("output", () => {
  const cases: Record<string, string[]> = {
    "workspace-list": ["workspace", "list"],
    "workspace-list-json": ["workspace", "list", "--json"],
    "workspace-show": ["workspace", "show", "app"],
    "workspace-show-empty": ["ws", "show", "empty"],
    "workspace-versions": ["workspace", "versions", "app"],
    "workspace-versions-none": ["workspace", "versions", "empty"],
    "workspace-fork": ["workspace", "fork", "app", "app-next"],
    "workspace-rollback": ["workspace", "rollback", "app", "1"],
    "workspace-sync": ["workspace", "sync", "app"],
    "workspace-verify": ["workspace", "verify", "app"],
    "workspace-verify-damaged": ["workspace", "verify", "broken"],
    "workspace-export": ["workspace", "export", "app", "--format", "oci", "--version", "2"],
    "workspace-delete-in-use": ["workspace", "delete", "app"],
    "workspace-delete-forced": ["workspace", "rm", "app", "--force"],
    "workspace-delete-version": ["workspace", "delete", "app", "--version", "2"],
    "workspace-no-such": ["workspace", "show", "no-such"],
    "workspace-bad-version": ["workspace", "rollback", "app", "first"],
    sync: ["sync", "app"],
    resize: ["resize", "app", "--disk", "10"],
    "resize-no-disk": ["resize", "app"],
  };
  test.for(Object.entries(cases))("%s", async ([name, args]) => expectGolden(name, await session(args, env)));
});

test("every command answers JSON when it is asked to", async () => {
  const commands = ["list", "show app", "versions app", "fork app n", "rollback app 1", "sync app", "verify app"];
  const all = [...commands, "delete app --force", "delete app --version 2"].map((words) => `workspace ${words}`);
  for (const command of [...all, "sync app", "resize app --disk 10"]) {
    const { stdout, exitCode } = await mags([...command.split(" "), "--json"], env);
    expect([exitCode, typeof JSON.parse(String(stdout))], command).toEqual([0, "object"]);
  }
});

test("an export can be written to a file", async () => {
  const path = join(home, "app.tar");
  const { stdout } = await mags(["workspace", "export", "app", "-o", path], env);
  expect(readFileSync(path, "utf8")).toBe("bytes of /mags-workspaces/app/export?format=tar");
  expect(stdout).toContain("47 B");
});

test("an import sends the file as it is", async () => {
  const path = join(home, "in.tar");
  writeFileSync(path, "a tar");
  const { stdout } = await mags(["workspace", "import", "app", path, "--path", "/srv"], env);
  expect(stdout).toBe("unpacked into /srv of app\n");
  expect(server.seen.at(-1)).toMatchObject({
    line: "POST /api/v1/mags-workspaces/app/import?create=1&path=%2Fsrv",
    body: "a tar",
  });
});

test("changes are sent in the wire's spelling", async () => {
  const before = server.seen.length;
  await mags(["workspace", "fork", "app", "n", "--version", "2"], env);
  await mags(["workspace", "rollback", "app", "1", "--force"], env);
  await mags(["run", "-d", "-w", "app", "-b", "base@2", "--on-busy", "fail", "true"], env);
  expect(server.seen.slice(before).map(({ body }) => JSON.parse(body))).toEqual([
    { workspace_id: "n", version: 2 },
    { version: 1, force: true },
    { script: "true", workspace_id: "app", base_workspace_id: "base@2", on_busy: "fail" },
  ]);
});
