/** Everything that a person reads, as a file each: changing it is a diff that somebody looks at. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { json, refusal, serve, type WireServer } from "../../sdk/node/test/wire.ts";
import { expectGolden, mags, session } from "./golden.ts";

const job = (number: number, more: object) => ({
  request_id: `00000000-0000-4000-8000-00000000000${number}`,
  name: `job-${number}`,
  status: "completed",
  exit_code: 0,
  error: null,
  created_at: `2026-01-02T03:04:0${number}.678Z`,
  ran_by: null,
  ...more,
});
const jobs = [
  job(3, { status: "running", exit_code: null, name: "a-rather-long-name-of-a-job" }),
  job(2, { status: "error", exit_code: 137, name: "hostile \u001b[2J\u0007 name" }),
  job(1, { exit_code: 3 }),
];
const opened = ({ port, access }: { port: number; access?: string }) => ({
  success: true,
  port,
  url: "http://my-app-abcdefghijkl.apps.localhost:7071",
  subdomain: "my-app-abcdefghijkl",
  access: access ?? "public",
  ...(access === "token" && { token: "a-token" }),
  ...(access === "password" && { username: "mags", password: "a-password" }),
});
const alias = {
  url: "http://shop.apps.localhost:7071",
  workspace_id: "hostile \u001b[2J",
  port: null,
  access: "public",
};
const aliases = { aliases: [alias, { ...alias, workspace_id: "ws", port: 3000, access: "token" }], total: 2, ...alias };
const refused: Record<string, [number, object]> = {
  "no-such": [404, refusal("not_found", "there is no job no-such", "List what exists with GET /api/v1/mags-jobs.")],
  ended: [409, refusal("conflict", "the job has ended", "Read the current state with GET …/status and try again.")],
  broken: [
    500,
    { message: "oops", error: { code: "internal", message: "oops", hint: "Try again.", request_id: "r-1" } },
  ],
  hostile: [404, refusal("not_found", "no \u001b[2J\u0007 job\rreally", "Look \u001b]8;;http://x\u0007here.")],
  secret: [401, refusal("unauthorized", "the token is unknown", "Send Authorization: Bearer <token>.")],
};

let server: WireServer;
let env: Record<string, string>;
beforeAll(async () => {
  server = await serve((request, response, body) => {
    const id = /mags-jobs\/([\w-]+)/.exec(request.url ?? "")?.[1] ?? "";
    if (refused[id]) return json(response, ...refused[id]);
    if (request.method === "PATCH") return json(response, 200, job(1, JSON.parse(body)));
    if (id === "pool-status") return json(response, 200, { idle_vms: 2, busy_vms: 1, total_vms: 3 });
    if (request.url?.endsWith("/access")) return json(response, 200, opened(JSON.parse(body)));
    if (request.url?.endsWith("/mags-url-aliases"))
      return json(response, request.method === "GET" ? 200 : 201, aliases);
    if (request.url?.endsWith("/stop")) return json(response, 202, {});
    if (request.url?.endsWith("/status")) return json(response, 200, jobs[1]);
    const found = request.url?.includes("name=none") ? [] : jobs;
    json(response, 200, { jobs: found, total: found.length, page: 1, page_size: 20 });
  });
  env = { MAGS_API_URL: server.url, MAGS_API_TOKEN: "secret" };
});
afterAll(() => server[Symbol.asyncDispose]());

describe("help", () => {
  test.for([
    "",
    "run",
    "list",
    "status",
    "logs",
    "stop",
    "sleep",
    "wake",
    "exec",
    "cp",
    "ssh",
    "url",
    "url alias",
    "url alias add",
    "ssh-key",
    "set",
    "pool",
    "doctor",
    "bench",
  ])("%s", async (command) => {
    const text = await session([...command.split(" ").filter(Boolean), "--help"]);
    expect(text).toContain("Example:");
    expectGolden(`help${command && `-${command.replaceAll(" ", "-")}`}`, text);
  });
});

describe("output", () => {
  const cases: Record<string, string[]> = {
    list: ["list"],
    "list-json": ["list", "--json"],
    "list-none": ["list", "--name", "none"],
    status: ["status", "job-2"],
    pool: ["pool"],
    stop: ["stop", "job-1"],
    set: ["set", "job-1", "--no-sleep"],
    url: ["url", "my-app"],
    "url-token": ["url", "my-app", "3000", "--access", "token"],
    "url-password": ["url", "my-app", "--access", "password", "--username", "me"],
    "url-json": ["url", "my-app", "--json"],
    "url-alias-add": ["url", "alias", "add", "shop", "ws", "--port", "3000"],
    "url-alias-list": ["url", "alias", "list"],
  };
  test.for(Object.entries(cases))("%s", async ([name, args]) => expectGolden(name, await session(args, env)));
});

describe("errors", () => {
  const cases: Record<string, string[]> = {
    "not-found": ["status", "no-such"],
    hostile: ["status", "hostile"],
    conflict: ["stop", "ended"],
    internal: ["status", "broken"],
    unauthorized: ["status", "secret"],
    "unknown-command": ["nope"],
    "unknown-option": ["run", "--nope", "true"],
    "missing-argument": ["status"],
    "bad-number": ["run", "--timeout", "soon", "true"],
    "bad-environment": ["run", "-e", "novalue", "true"],
    "bad-isolation": ["run", "--isolation", "none", "true"],
    "nothing-to-set": ["set", "job-1"],
    "bad-port": ["url", "my-app", "http"],
    "bad-access": ["url", "my-app", "--access", "secret"],
    "no-file": ["run", "-f", "/no/such/file"],
  };
  test.for(Object.entries(cases))("%s", async ([name, args]) =>
    expectGolden(`error-${name}`, await session(args, env)),
  );

  test("no token", async () => expectGolden("error-no-token", await session(["list"])));

  test("no server", async () => {
    const gone = await serve(() => undefined);
    await gone[Symbol.asyncDispose]();
    const text = await session(["list"], { ...env, MAGS_API_URL: gone.url });
    expectGolden("error-no-server", text.replaceAll(gone.url.slice("http://".length), "server"));
  });
});

test("a change names what is changed and nothing else", async () => {
  const before = server.seen.length;
  await mags(["set", "job-1", "--startup-command", "npm start"], env);
  await mags(["set", "job-1", "--sleep", "--startup-command", ""], env);
  expect(server.seen.slice(before).map(({ body }) => JSON.parse(body))).toEqual([
    { startup_command: "npm start" },
    { no_sleep: false, startup_command: null },
  ]);
});
