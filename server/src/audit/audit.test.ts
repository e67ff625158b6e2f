import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "@mags/kit";
import { canonicalJson } from "@mags/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ADMIN, call, createJob, startWorld, type World } from "../testing.ts";

let world: World;
let scratch: string;
beforeAll(async () => {
  world = await startWorld();
  scratch = await mkdtemp(join(tmpdir(), "mags-audit-"));
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true });
});

const list = async (query = "", headers = {}) =>
  (await call(world, "GET", `/api/v1/audit?limit=500${query}`, undefined, headers)).body;
const exported = async () =>
  (
    await (
      await fetch(`${world.server.url}/api/v1/audit/export`, { headers: { authorization: `Bearer ${ADMIN}` } })
    ).text()
  )
    .trimEnd()
    .split("\n");
async function verify(lines: string[], ...more: string[]) {
  const path = join(scratch, "audit.jsonl");
  await writeFile(path, lines.map((line) => `${line}\n`).join(""));
  const cli = new URL("../../../cli/bin/mags", import.meta.url).pathname;
  const { exitCode, stdout, stderr } = await spawn(cli, ["audit", "verify", path, ...more], { reject: false });
  return { exitCode, said: `${stdout}${stderr}` };
}

describe("the audit log", () => {
  it("has every change with who, what, from where, and of which request", async () => {
    const headers = { "x-request-id": "asked-for-1" };
    const token = await call(world, "POST", "/api/v1/tokens", { name: "ci", scopes: ["run"] }, headers);
    const job = await createJob(
      world,
      { script: "echo very secret", environment: { A: "hush" }, name: "j" },
      { ...headers, authorization: `Bearer ${token.body.token}` },
    );
    await call(world, "POST", `/api/v1/mags-jobs/${job.body.request_id}/stop`);
    await call(world, "DELETE", `/api/v1/tokens/${token.body.id}`);
    const { entries } = await list();
    expect(entries.map((entry: { action: string }) => entry.action)).toEqual([
      "revokeToken",
      "stopJob",
      "createJob",
      "createToken",
    ]);
    expect(entries[2]).toMatchObject({
      actor: { kind: "token", name: "ci" },
      target: job.body.request_id,
      outcome: "done",
      request_id: "asked-for-1",
      address: "127.0.0.1",
      details: { name: "j" },
    });
    expect(entries[3]).toMatchObject({
      actor: { kind: "token", name: "admin" },
      target: "ci",
      details: { scopes: ["run"] },
    });
    for (const hidden of ["very secret", "hush", token.body.token])
      expect(JSON.stringify(entries)).not.toContain(hidden);
    const shown = await call(world, "GET", `/api/v1/mags-jobs/${job.body.request_id}/status`);
    expect(shown.body).toMatchObject({ created_by: "token ci", http_request_id: "asked-for-1", cron_id: null });
  });

  it("has what was refused for want of a scope, and failed sign-ins, but not what was wrong", async () => {
    const before = (await list()).head.seq;
    const token = await call(world, "POST", "/api/v1/tokens", { name: "reader", scopes: ["read"] });
    await createJob(world, {}, { authorization: `Bearer ${token.body.token}` });
    await createJob(world, { script: "" });
    await call(world, "POST", "/api/v1/members", { email: "a@b.org", password: "long enough password" });
    await call(world, "POST", "/api/v1/session", { email: "a@b.org", password: "wrong" });
    await call(world, "POST", "/api/v1/session", { email: "a@b.org", password: "long enough password" });
    const { entries } = await list();
    const fresh = entries.filter((entry: { seq: number }) => entry.seq > before).reverse();
    expect(fresh.map((entry: { action: string; outcome: string }) => `${entry.action} ${entry.outcome}`)).toEqual([
      "createToken done",
      "createJob refused",
      "addMember done",
      "session.signIn refused",
      "session.signIn done",
    ]);
  });

  it("is written with the change or not at all", async () => {
    const before = (await list()).head.seq;
    await world.sql.query("ALTER TABLE members ADD CONSTRAINT broken CHECK (email <> 'x@broken.org') NOT VALID");
    expect((await call(world, "POST", "/api/v1/members", { email: "x@broken.org" })).status).toBe(500);
    await world.sql.query("ALTER TABLE members DROP CONSTRAINT broken");
    const { entries } = await list("&action=addMember");
    // What failed is told as that.
    expect(entries[0]).toMatchObject({ outcome: "failed" });
    expect(entries[0].seq).toBeGreaterThan(before);
    await world.sql.query("ALTER TABLE audit ADD CONSTRAINT broken CHECK (action <> 'addMember') NOT VALID");
    expect((await call(world, "POST", "/api/v1/members", { email: "y@broken.org" })).status).toBe(500);
    await world.sql.query("ALTER TABLE audit DROP CONSTRAINT broken");
    const { body } = await call(world, "GET", "/api/v1/members");
    expect(JSON.stringify(body)).not.toContain("broken.org");
  });

  it("belongs to one organisation and asks for an admin", async () => {
    const org = await call(world, "POST", "/api/v1/organisations", { id: "other" });
    const foreign = { authorization: `Bearer ${org.body.token.token}` };
    await call(world, "POST", "/api/v1/tokens", { name: "theirs", scopes: ["read"] }, foreign);
    const theirs = await list("", foreign);
    expect(theirs.entries.map((entry: { seq: number; target: string }) => [entry.seq, entry.target])).toEqual([
      [1, "theirs"],
    ]);
    expect(JSON.stringify(await list())).not.toContain("theirs");
  });

  it("is one chain, whoever writes at the same time and whichever servers link it", async () => {
    const second = await world.startServer();
    try {
      await Promise.all(Array.from({ length: 60 }, (_, index) => createJob(world, { name: `many-${index}` })));
      const lines = await exported();
      expect((await verify(lines)).exitCode).toBe(0);
      const seqs = lines.map((line) => JSON.parse(line).seq);
      expect(seqs).toEqual(seqs.map((_, index) => index + 1));
    } finally {
      await second.close();
    }
  });
});

describe("an export", () => {
  it("is verified without a server; what was changed, taken out, moved or cut off shows", async () => {
    const lines = await exported();
    const head = JSON.parse(lines.at(-1) ?? "").hash;
    expect(await verify(lines, "--head", head)).toMatchObject({ exitCode: 0, said: expect.stringContaining("intact") });
    const other = (index: number, change: object) =>
      lines.map((line, at) => (at === index ? JSON.stringify({ ...JSON.parse(line), ...change }) : line));
    const tampered = {
      changed: other(2, { target: "somebody else's" }),
      renamed: other(0, { actor: { kind: "token", name: "innocent" } }),
      "taken out": lines.filter((_, at) => at !== 3),
      moved: [...lines.slice(0, 2), lines[3] ?? "", lines[2] ?? "", ...lines.slice(4)],
      "made up": [...lines, JSON.stringify({ ...JSON.parse(lines.at(-1) ?? ""), seq: lines.length + 1, prev: head })],
      "no entry": [...lines.slice(0, 1), "{}", ...lines.slice(1)],
    };
    for (const [what, changed] of Object.entries(tampered)) expect((await verify(changed)).exitCode, what).toBe(1);
    expect((await verify(lines.slice(0, -1))).exitCode).toBe(0);
    expect((await verify(lines.slice(0, -1), "--head", head)).exitCode).toBe(1);
    expect((await verify(lines.slice(4))).exitCode).toBe(0);
  });

  it("shows what the owner of the database has changed; others cannot change it", async () => {
    for (const statement of [
      "UPDATE audit SET actor = 'x' WHERE seq = 2",
      "DELETE FROM audit WHERE seq = 2",
      "TRUNCATE audit",
    ])
      await expect(world.sql.query(statement)).rejects.toThrow("append-only");
    await world.sql.query("ALTER TABLE audit DISABLE TRIGGER audit_stays");
    await world.sql.query("UPDATE audit SET actor = 'x' WHERE org = 'default' AND seq = 2");
    expect(await verify(await exported())).toMatchObject({
      exitCode: 1,
      said: expect.stringContaining("entry 2 was changed"),
    });
  });
});

it("JSON has one spelling, whatever the order of keys", () => {
  const value = { b: [1, { d: null, c: "ü\n" }], a: 1.5e21, "": false };
  expect(canonicalJson(value)).toBe('{"":false,"a":1.5e+21,"b":[1,{"c":"ü\\n","d":null}]}');
  expect(canonicalJson(JSON.parse(canonicalJson(value)))).toBe(canonicalJson(value));
});
