import { afterAll, beforeAll, expect, it } from "vitest";
import { call, createJob, startWorld, TestNode, type World } from "../testing.ts";
import { hashToken } from "./service.ts";

let world: World;
const foreign = { authorization: "Bearer token-of-another-organisation" };
beforeAll(async () => {
  world = await startWorld();
  await world.sql.query("INSERT INTO organisations (id) VALUES ('other')");
  await world.sql.query("INSERT INTO tokens (org, name, hash) VALUES ('other', 'admin', $1)", [
    hashToken("token-of-another-organisation"),
  ]);
});
afterAll(() => world[Symbol.asyncDispose]());

it("a job of another organisation looks exactly like one that does not exist", async () => {
  const { body: job } = await createJob(world, { name: "mine" });
  const path = (id: string, verb: string) => `/api/v1/mags-jobs/${id}${verb}`;
  const unknown = "00000000-0000-4000-8000-000000000000";
  const ask = async (method: string, id: string, verb: string, body?: object) => {
    const answer = await call(world, method, path(id, verb), body, foreign);
    delete answer.body.error?.request_id;
    return [answer.status, JSON.parse(JSON.stringify(answer.body).replaceAll(id, "ID"))];
  };
  for (const [method, verb, body] of [
    ["GET", "/status"],
    ["GET", "/logs"],
    ["GET", "/logs?follow=1"],
    ["POST", "/stop"],
    ["PATCH", "", { no_sleep: false }],
  ] as const) {
    const answer = await ask(method, job.request_id, verb, body);
    expect(answer[0]).toBe(404);
    expect(answer).toEqual(await ask(method, unknown, verb, body));
    expect((await call(world, method, path("mine", verb), body, foreign)).status).toBe(404);
  }
  expect((await call(world, "GET", "/api/v1/mags-jobs", undefined, foreign)).body).toMatchObject({
    jobs: [],
    total: 0,
  });
  expect((await call(world, "GET", path(job.request_id, "/status"))).body.status).toBe("accepted");
});

it("names are an organisation's own, and nodes are told whose a job is", async () => {
  await world.sql.query("TRUNCATE jobs CASCADE");
  const theirs = await createJob(world, { name: "web" }, foreign);
  const ours = await createJob(world, { name: "web" });
  const status = (headers = {}) => call(world, "GET", "/api/v1/mags-jobs/web/status", undefined, headers);
  expect((await status()).body.request_id).toBe(ours.body.request_id);
  expect((await status(foreign)).body.request_id).toBe(theirs.body.request_id);
  const node = new TestNode(world, "a");
  await node.register();
  expect((await node.claim()).map(({ org }) => org).sort()).toEqual(["default", "other"]);
});
