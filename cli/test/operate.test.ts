/** What people read of files, schedules, tokens and the like, as a golden file each. */
import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { json, refusal, serve, type WireServer } from "../../sdk/node/test/wire.ts";
import { expectGolden, home, mags, session } from "./golden.ts";

const file = (number: number, more: object = {}) => ({
  file_id: `00000000-0000-4000-8000-00000000000${number}`,
  name: `data-${number}.csv`,
  bytes: 1000 ** number,
  sha256: "0".repeat(64),
  created_at: "2026-01-02T03:04:05.678Z",
  used_at: null,
  expires_at: "2026-01-09T03:04:05.678Z",
  ...more,
});

const cron = (number: number, more: object = {}) => ({
  id: `00000000-0000-4000-8000-00000000000${number}`,
  name: `schedule-${number}`,
  cron_expression: "0 3 * * *",
  time_zone: "Europe/Berlin",
  enabled: true,
  script: "echo",
  environment: {},
  next_run_at: "2026-01-03T02:00:00.000Z",
  next_runs: ["2026-01-03T02:00:00.000Z", "2026-01-04T02:00:00.000Z"],
  last_status: "succeeded",
  last_exit_code: 0,
  failure_count: 0,
  ...more,
});
const run = (more: object) => ({
  scheduled_at: "2026-01-02T02:00:00.000Z",
  kind: "schedule",
  state: "succeeded",
  exit_code: 0,
  from_version: 3,
  version: 4,
  request_id: "00000000-0000-4000-8000-000000000009",
  reason: null,
  ...more,
});
const runs = [
  run({
    state: "skipped",
    exit_code: null,
    from_version: null,
    version: null,
    request_id: null,
    reason: "an earlier run was still going on",
  }),
  run({ kind: "retry", state: "failed", exit_code: 3, reason: "the script ended with exit code 3" }),
  run({}),
];
const token = (number: number, more: object = {}) => ({
  id: `00000000-0000-4000-8000-00000000000${number}`,
  name: `token-${number}`,
  scopes: ["run"],
  created_by: "admin",
  created_at: "2026-01-02T03:04:05.678Z",
  expires_at: null,
  last_used_at: "2026-01-03T03:04:00.000Z",
  ...more,
});
const secret = { ...token(1), token: "mags_secret" };
const organisations = [{ id: "default", created_at: "2026-01-02T03:04:05.678Z", tokens: 2 }];
const disabled = { enabled: false, next_run_at: null, next_runs: [], last_status: null };

const used = { jobs: 3, vcpu_seconds: 5400, gb_seconds: 1800, storage_gb_hours: 0.25, egress_bytes: 123_456_789 };
const usage = {
  from: "2026-01-01",
  to: "2026-01-02",
  by: ["day", "workspace"],
  rows: [
    { day: "2026-01-01", workspace: "=1+1", ...used },
    { day: "2026-01-02", workspace: null, ...used, jobs: 0 },
  ],
  total: { ...used, vcpu_seconds: 10_800 },
};

const answers: Record<string, [number, object]> = {
  "GET /mags-files": [
    200,
    { files: [file(2), file(1, { name: "hostile \u001b[2J\u0007 name" })], total: 2, total_bytes: 1_001_000 },
  ],
  "POST /mags-files": [201, file(1)],
  "DELETE /mags-files/:id": [200, {}],
  "GET /whoami": [200, { organisation: "default", token: "admin", scopes: ["operator"] }],
  "GET /tokens": [200, { tokens: [token(1), token(2, { last_used_at: null, scopes: ["admin"] })], total: 2 }],
  "POST /tokens": [201, secret],
  "DELETE /tokens/:id": [200, {}],
  "GET /organisations": [200, { organisations, total: 1 }],
  "POST /organisations": [201, { id: "acme", token: secret }],
  "GET /usage": [200, usage],
  "GET /mags-cron": [200, { cron_jobs: [cron(2), cron(1, disabled)], total: 2 }],
  "GET /mags-cron/:id": [200, cron(1)],
  "POST /mags-cron": [201, cron(1)],
  "PATCH /mags-cron/:id": [200, cron(1)],
  "DELETE /mags-cron/:id": [200, {}],
  "POST /mags-cron/:id/run": [202, { request_id: "00000000-0000-4000-8000-000000000009", name: "schedule-1" }],
  "GET /mags-cron/:id/runs": [200, { runs, total: 3, page: 1, page_size: 20 }],
};
const missing: [number, object] = [404, refusal("not_found", "there is no such thing", "List what exists.")];

let server: WireServer;
let env: Record<string, string>;
beforeAll(async () => {
  server = await serve((request, response) => {
    const path = (request.url ?? "").replace("/api/v1", "");
    const [, collection, id, verb] = /^(\/[\w-]+)(?:\/([^/?]+))?(\/[^?]+)?/.exec(path) ?? [];
    const answer = answers[`${request.method} ${collection}${id ? "/:id" : ""}${verb ?? ""}`] ?? missing;
    json(response, ...(id === "no-such" ? missing : answer));
  });
  env = { MAGS_API_URL: server.url, MAGS_API_TOKEN: "secret" };
});
afterAll(() => server[Symbol.asyncDispose]());

const id = "00000000-0000-4000-8000-000000000001";

describe("help", () => {
  const verbs = ["add", "list", "show", "update", "enable", "disable", "run", "history", "remove"];
  const commands = [
    ...["file", "file upload", "file list", "file delete"],
    ...["token", "token create", "token list", "token revoke", "org", "org create", "org list"],
    ...["login", "logout", "whoami", "usage"],
    ...["cron", ...verbs.map((verb) => `cron ${verb}`)],
  ];
  test.for(commands)("%s", async (command) => {
    const text = await session([...command.split(" "), "--help"]);
    expect(text).toContain("Example:");
    expectGolden(`help-${command.replaceAll(" ", "-")}`, text);
  });
});

describe("output", () => {
  const cases: Record<string, string[]> = {
    "file-list": ["file", "list"],
    "file-list-json": ["file", "list", "--json"],
    "file-delete": ["file", "delete", id],
    "file-no-such": ["file", "delete", "no-such"],
    whoami: ["whoami"],
    "token-create": ["token", "create", "ci"],
    "token-list": ["token", "list"],
    "token-revoke": ["token", "revoke", "token-2"],
    "org-create": ["org", "create", "acme"],
    "org-list": ["org", "list"],
    usage: ["usage", "--by", "day,workspace"],
    "usage-csv": ["usage", "--by", "day,workspace", "--csv"],
    "cron-add": ["cron", "add", "0 3 * * *", "--name", "nightly", "echo", "hi"],
    "cron-no-name": ["cron", "add", "0 3 * * *", "echo"],
    "cron-list": ["cron", "list"],
    "cron-show": ["cron", "show", "schedule-1"],
    "cron-update": ["cron", "update", "schedule-1", "--retries", "0"],
    "cron-update-nothing": ["cron", "update", "schedule-1"],
    "cron-enable": ["cron", "enable", "schedule-1"],
    "cron-run": ["cron", "run", "schedule-1"],
    "cron-history": ["cron", "history", "schedule-1"],
    "cron-remove": ["cron", "remove", "schedule-1"],
    "cron-no-such": ["cron", "show", "no-such"],
    "file-no-path": ["file", "upload", "/no/such/file"],
  };
  test.for(Object.entries(cases))("%s", async ([name, args]) => expectGolden(name, await session(args, env)));
});

test("a login is kept for this user alone, and the environment wins", async () => {
  const stranger = { HOME: join(home, "login") };
  const login = await mags(["login", "--url", `${server.url}/`], stranger, { input: "from-login\n" });
  expect(login).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^logged in as admin of default/) });
  const path = join(stranger.HOME, ".mags/config.json");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const used = async (more: object) => {
    await mags(["whoami"], { ...stranger, ...more });
    return server.seen.at(-1)?.headers.authorization;
  };
  expect(await used({})).toBe("Bearer from-login");
  expect(await used({ MAGS_API_TOKEN: "from-environment" })).toBe("Bearer from-environment");
  await mags(["logout"], stranger);
  expect(existsSync(path)).toBe(false);
  expect((await mags(["login"], stranger, { input: "two words" })).exitCode).toBe(2);
  expect(existsSync(path)).toBe(false);
});

test("files are sent as they are, under their own names", async () => {
  const path = join(home, "résumé.txt");
  writeFileSync(path, "content\n");
  const before = server.seen.length;
  expect(await mags(["file", "upload", path], env)).toMatchObject({ exitCode: 0, stdout: `${id}\n` });
  const [request] = server.seen.slice(before);
  expect(request?.line).toBe("POST /api/v1/mags-files");
  expect(request?.headers["content-type"]).toMatch(/^multipart\/form-data; boundary=/);
  expect(request?.body).toContain('name="file"; filename="résumé.txt"');
  expect(request?.body).toContain("\r\n\r\ncontent\n\r\n");
});

test("a schedule is sent in the wire's spelling, and a change names nothing else", async () => {
  const before = server.seen.length;
  const options = ["--zone", "Asia/Tokyo", "-e", "A=1", "--overlap", "queue", "--retries", "2", "--memory", "64"];
  await mags(["cron", "add", "@hourly", "-n", "poll", ...options, "--disabled", "echo", "two words"], env);
  await mags(["cron", "update", "poll", "--schedule", "@daily"], env);
  await mags(["cron", "disable", "poll"], env);
  expect(server.seen.slice(before).map(({ body }) => JSON.parse(body))).toEqual([
    {
      name: "poll",
      cron_expression: "@hourly",
      script: "echo two words",
      time_zone: "Asia/Tokyo",
      environment: { A: "1" },
      overlap: "queue",
      retries: 2,
      memory_mb: 64,
      enabled: false,
    },
    { cron_expression: "@daily" },
    { enabled: false },
  ]);
});
