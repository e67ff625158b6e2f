/** A backup is taken while the server works, and restored whole or not at all. */
import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ADMIN, call, createJob, startWorld, TestNode, type World } from "../testing.ts";
import { Writer } from "../workspaces/testing/writer.ts";
import { readArchive, writeArchive } from "./archive.ts";
import { restoreBackup } from "./restore.ts";

let world: World;
let backup: Buffer;
let databases = 0;

beforeAll(async () => {
  world = await startWorld();
  const node = new TestNode(world, "n1");
  await node.register();
  await createJob(world, {
    workspace_id: "kept",
    environment: { ODD: "tab\there, line\nbreak, \\N and 'quotes' \u{1f600}" },
  });
  const [job] = await node.claim();
  await node.started(job!);
  for (const text of ["one", "two"]) await new Writer(world, node).write(job!, [text, "both"]);
  await call(world, "POST", "/api/v1/mags-cron", { name: "nightly", cron_expression: "@daily", script: "true" });
  backup = await download();
}, 60_000);
afterAll(() => world[Symbol.asyncDispose]());

async function download(): Promise<Buffer> {
  const headers = { authorization: `Bearer ${ADMIN}` };
  const response = await fetch(`${world.server.url}/api/v1/backup`, { headers });
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
}

/** An empty database beside the first. */
async function emptyDatabase(): Promise<string> {
  const name = `restored_${++databases}`;
  await world.sql.query(`CREATE DATABASE ${name}`);
  return world.postgres.url.replace("/postgres?", `/${name}?`);
}

const restore = (bytes: Buffer, databaseUrl: string | undefined, more: { allowMissing?: boolean } = {}) =>
  restoreBackup({ archive: Readable.from([bytes]), objects: world.objects, databaseUrl, allowMissing: false, ...more });

async function rowsOf(url: string, table: string, columns = "*"): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(`SELECT ${columns} FROM ${table} ORDER BY t::text`)).rows;
  } finally {
    await client.end();
  }
}

it("holds every row as it was; what fences off the late leaps ahead, and numbers go on", async () => {
  const url = await emptyDatabase();
  const restored = await restore(backup, url);
  expect(restored).toMatchObject({
    missing: [],
    lost_versions: [],
    rows: { jobs: 1, versions: 2, workspaces: 1, crons: 1 },
  });
  // 2 manifests, and the chunks "one", "two", "both".
  expect(restored.objects).toBe(5);
  for (const table of ["versions", "manifests", "chunks", "crons", "tokens"])
    expect(await rowsOf(url, `${table} AS t`)).toEqual(await rowsOf(world.postgres.url, `${table} AS t`));
  expect(await rowsOf(url, "jobs AS t", "spec, status, reason, attempt")).toMatchObject([
    { spec: { environment: { ODD: "tab\there, line\nbreak, \\N and 'quotes' \u{1f600}" } }, attempt: 1_000_001 },
  ]);
  expect(await rowsOf(url, "workspaces AS t", "fence")).toEqual([{ fence: 1_000_001 }]);
  expect(await rowsOf(url, "nodes AS t")).toEqual([]);
  const before = world.server;
  world.server = await world.startServer({ databaseUrl: url });
  try {
    expect((await call(world, "GET", "/api/v1/mags-workspaces/kept")).body).toMatchObject({
      versions: 2,
      latest_version: 2,
    });
    expect((await createJob(world)).status).toBe(202);
  } finally {
    await world.server.close();
    world.server = before;
  }
});

it("is of one moment: what is written while it is taken is in it as a whole or not at all", async () => {
  let going = true;
  const begun = Promise.withResolvers<void>();
  const writing = (async () => {
    for (let count = 0; going; count++) {
      await createJob(world, { workspace_id: `busy-${randomUUID()}` });
      if (count === 3) begun.resolve();
    }
  })();
  await begun.promise;
  const taken = await download();
  going = false;
  await writing;
  const url = await emptyDatabase();
  await restore(taken, url);
  const orphans = "jobs AS t WHERE NOT EXISTS (SELECT 1 FROM workspaces w WHERE w.id = t.workspace)";
  expect(await rowsOf(url, orphans)).toEqual([]);
  expect((await rowsOf(url, "jobs AS t")).length).toBeGreaterThan(4);
});

it("is refused by a database that is not empty, and leaves it as it was", async () => {
  await expect(restore(backup, world.postgres.url)).rejects.toThrow("the database is not empty");
  expect((await call(world, "GET", "/api/v1/mags-workspaces/kept")).status).toBe(200);
});

it("is refused when it is cut, changed or of something else, and then nothing of it is restored", async () => {
  const url = await emptyDatabase();
  for (const cut of [0, 100, backup.length / 2, backup.length - 20])
    await expect(restore(backup.subarray(0, cut), url), `cut at ${cut}`).rejects.toThrow(
      /no whole backup|ends too early/,
    );
  const plain = zstdDecompressSync(backup);
  plain[plain.indexOf("nightly")]! ^= 1;
  await expect(restore(zstdCompressSync(plain), url)).rejects.toThrow("damaged");
  await expect(restore(Buffer.from("no archive"), url)).rejects.toThrow("no whole backup");
  await expect(
    restore(await buffer(writeArchive(entries({ name: "x", body: Buffer.from("y") }))), url),
  ).rejects.toThrow("no backup of Mags");
  expect(await rowsOf(url, "pg_tables AS t WHERE schemaname = 'public'")).toEqual([]);
});

it("says which objects are missing, and with leave restores the rest and names the versions that are lost", async () => {
  const url = await emptyDatabase();
  const versions = await rowsOf(world.postgres.url, "versions AS t", "manifest");
  const [{ manifest } = { manifest: "" }] = versions as { manifest: string }[];
  const key = `orgs/default/manifests/${manifest}`;
  const body = await world.objects.get(key);
  await world.objects.delete([key]);
  try {
    await expect(restore(backup, undefined)).rejects.toThrow(
      `1 of 5 objects are not in the object store, such as ${key}`,
    );
    await expect(restore(backup, url)).rejects.toThrow("--allow-missing");
    const restored = await restore(backup, url, { allowMissing: true });
    expect(restored.missing).toEqual([key]);
    expect(restored.lost_versions).toHaveLength(1);
    expect(restored.lost_versions[0]).toMatch(/^kept@[12]$/);
  } finally {
    await world.objects.put(key, body);
  }
  expect(await restore(backup, undefined)).toMatchObject({ objects: 5, missing: [] });
});

it("is for who runs the server alone", async () => {
  const made = await call(world, "POST", "/api/v1/tokens", { name: "admin-2", scopes: ["admin"] });
  const headers = { authorization: `Bearer ${made.body.token}` };
  expect((await call(world, "GET", "/api/v1/backup", undefined, headers)).status).toBe(403);
});

it("is a tar of small entries that gives back what was put into it, of any size", async () => {
  const sizes = [0, 1, 511, 512, 513, 100_000];
  const put = sizes.map((size) => ({ name: `part/${size}`, body: Buffer.alloc(size, "x") }));
  const got = [];
  for await (const entry of readArchive(writeArchive(entries(...put)))) got.push(entry);
  expect(got.map(({ name, body }) => [name, body.length])).toEqual(sizes.map((size) => [`part/${size}`, size]));
});

async function* entries<T>(...all: T[]): AsyncGenerator<T> {
  yield* all;
}
