/**
 * Every route of the API, as the OpenAPI document lists them, with a token of another organisation and the ids of things
 * that are not its own. A new route whose things this file does not know fails the first test.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { ADMIN, type Answer, call, createJob, startWorld, TestNode, type World } from "../testing.ts";

interface Operation {
  method: string;
  path: string;
  id: string;
  parameters: string[];
  /** what the query has to name */
  query: string[];
  open: boolean;
}

interface Documented {
  operationId: string;
  security?: unknown[];
  parameters?: { name: string; in: string; required?: boolean }[];
}

/** Bodies that are right, so that only the tenant stands between the caller and the thing. */
const bodies: Record<string, object> = {
  updateJob: { no_sleep: false },
  exec: { command: "true" },
  openAccess: { port: 8080 },
  forkWorkspace: { workspace_id: "stolen" },
  resizeWorkspace: { disk_gb: 100 },
  rollBackWorkspace: { version: 1 },
  verifyWorkspace: {},
  updateCron: { enabled: false },
  rerunJob: {},
  updateMember: { name: "stolen" },
  updateQuota: { sandboxes: 1 },
  setSecret: { value: "stolen" },
  updateWebhook: { enabled: false },
};

let world: World;
let foreign: Record<string, string>;
let operations: Operation[];
/** what the first organisation has, by the beginning of the paths that lead to it */
let things: Record<string, string[]>;

beforeAll(async () => {
  world = await startWorld();
  await new TestNode(world, "n1").register();
  const made = await call(world, "POST", "/api/v1/organisations", { id: "stranger" });
  foreign = { authorization: `Bearer ${made.body.token.token}` };
  const document = (await call(world, "GET", "/openapi.json")).body;
  operations = Object.entries<Record<string, Documented>>(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId, security, parameters = [] }]) => ({
      method: method.toUpperCase(),
      path,
      id: operationId,
      parameters: [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string),
      query: parameters.filter((parameter) => parameter.in === "query" && parameter.required).map(({ name }) => name),
      open: security?.length === 0,
    })),
  );
  things = await makeThings();
});
afterAll(() => world[Symbol.asyncDispose]());

async function makeThings(): Promise<Record<string, string[]>> {
  const job = await createJob(world, { name: "secret-job", workspace_id: "secret-workspace" });
  const cron = await call(world, "POST", "/api/v1/mags-cron", {
    name: "secret-cron",
    cron_expression: "@yearly",
    script: "true",
  });
  const form = new FormData();
  form.append("file", new Blob(["x"]), "secret-file");
  const headers = { authorization: `Bearer ${ADMIN}` };
  const file = await fetch(`${world.server.url}/api/v1/mags-files`, { method: "POST", body: form, headers });
  const alias = { subdomain: "secret-alias", workspace_id: "secret-workspace" };
  expect((await call(world, "POST", "/api/v1/mags-url-aliases", alias)).status).toBe(201);
  const token = await call(world, "POST", "/api/v1/tokens", { name: "secret-token" });
  expect((await call(world, "PUT", "/api/v1/secrets/secret-secret", { value: "v" })).status).toBe(200);
  const webhook = await call(world, "POST", "/api/v1/webhooks", { url: "https://secret-hook.example" });
  const member = await call(world, "POST", "/api/v1/members", { email: "secret@member.org", role: "owner" });
  const { rows } = await world.sql.query(
    `INSERT INTO ssh_keys (id, org, name, fingerprint, public_key)
     VALUES (gen_random_uuid(), 'default', 'secret-key', 'f', 'k') RETURNING id`,
  );
  return {
    "/mags-jobs/": [job.body.request_id, "secret-job", "secret-workspace"],
    "/mags-workspaces/": ["secret-workspace"],
    "/mags-cron/": [cron.body.id, "secret-cron"],
    "/mags-files/": [((await file.json()) as { file_id: string }).file_id],
    "/mags-url-aliases/": ["secret-alias"],
    "/mags-ssh-keys/": [rows[0].id],
    "/tokens/": [token.body.id],
    "/nodes/": ["n1"],
    "/members/": [member.body.id],
    "/organisations/": ["default"],
    "/webhooks/": [webhook.body.id],
    "/secrets/": ["secret-secret"],
  };
}

const thingsOf = (path: string) => things[Object.keys(things).find((start) => path.includes(start)) ?? ""];

function ask(
  { method, path, id, parameters, query }: Operation,
  thing: string,
  headers: Record<string, string>,
): Promise<Answer> {
  const filled = parameters.reduce(
    (url, name, index) => url.replace(`{${name}}`, index === 0 ? encodeURIComponent(thing) : "1"),
    path,
  );
  const search = query.map((name) => `${name}=%2Froot%2Fx`).join("&");
  return call(world, method, search ? `${filled}?${search}` : filled, bodies[id], headers);
}

/** Everything that the first organisation sees of its own things. */
async function look(): Promise<unknown> {
  const seen = [];
  for (const operation of operations) {
    if (operation.method !== "GET" || operation.parameters.length !== 1) continue;
    // What comes out of machines; this job's has none yet.
    if (operation.query.length > 0 || /export|diff|logs|terminal/.test(operation.path)) continue;
    for (const thing of thingsOf(operation.path) ?? []) seen.push((await ask(operation, thing, {})).body);
  }
  return seen;
}

it("things of every kind that a path can name are made by this test", () => {
  const unknown = operations.filter(({ path, parameters }) => parameters.length > 0 && !thingsOf(path));
  expect(unknown.map(({ path }) => path)).toEqual([]);
  for (const [kind, ids] of Object.entries(things)) for (const id of ids) expect(id, kind).toBeTruthy();
});

it("no route leads to another organisation's things, nor changes them", async () => {
  const before = await look();
  const leaks: string[] = [];
  // Making a secret makes one of the caller's own, whatever others call theirs; then there is one to delete.
  const walked = operations.filter(({ parameters, open, id }) => parameters.length > 0 && !open && id !== "setSecret");
  for (const operation of walked) {
    for (const thing of thingsOf(operation.path) ?? []) {
      const { status } = await ask(operation, thing, foreign);
      if (status !== 404 && status !== 403) leaks.push(`${operation.method} ${operation.path} ${thing}: ${status}`);
    }
  }
  expect(walked.length).toBeGreaterThan(20);
  expect(leaks).toEqual([]);
  expect(await look()).toEqual(before);
});

it("no list shows another organisation's things", async () => {
  // One that has tried nothing: its audit log would tell what it asked for.
  const onlooker = await call(world, "POST", "/api/v1/organisations", { id: "onlooker" });
  const strange = { authorization: `Bearer ${onlooker.body.token.token}` };
  const names = Object.values(things).flat();
  const lists = operations.filter(
    ({ method, parameters, path, open }) =>
      method === "GET" && parameters.length === 0 && path.startsWith("/api/") && !open,
  );
  expect(lists.length).toBeGreaterThan(5);
  for (const { path } of lists) {
    const { status, body } = await call(world, "GET", path, undefined, strange);
    expect([200, 403], path).toContain(status);
    const text = JSON.stringify(body);
    for (const name of names) expect(text, `${path} shows ${name}`).not.toContain(name);
  }
});

it("another organisation's things cannot be named in a job", async () => {
  const file_ids = things["/mags-files/"];
  for (const job of [{ file_ids }, { base_workspace_id: "secret-workspace" }])
    expect((await createJob(world, job, foreign)).status).toBe(400);
});

it("without a token no route but the open ones answers", async () => {
  for (const operation of operations.filter(
    ({ open, path, id }) => !open && path.startsWith("/api/") && !/Session|sign/i.test(id),
  )) {
    const [thing = "x"] = thingsOf(operation.path) ?? [];
    const { status } = await ask(operation, thing, { authorization: "Bearer wrong" });
    expect(status, `${operation.method} ${operation.path}`).toBe(401);
  }
});
