/** Versions over a bad line, with servers that fail, full disks and processes that are killed. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { mount, run, spawn, unmount } from "@mags/kit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ObjectStoreOptions, openObjectStore } from "../objects/index.ts";
import { type Fault, FaultyProxy } from "../objects/testing/faulty-proxy.ts";
import { type Radosgw, startRadosgw } from "../objects/testing/radosgw.ts";
import { restore, type Upload, upload, verify } from "./index.ts";
import { chunkKey } from "./manifest.ts";
import { randomBytesOf, writeAt } from "./testing/bytes.ts";
import type { Task } from "./testing/mover.ts";
import { makeWorld, type World } from "./testing/world.ts";

const MiB = 1024 ** 2;
let world: World;
let live: string;
beforeEach(async () => {
  world = await makeWorld();
  live = world.at("live");
});
afterEach(() => world.close());

async function uploaded(path = live): Promise<Upload> {
  const version = await upload(path, undefined, world.index, world.ctx);
  if (!version) throw new Error("nothing was uploaded");
  world.index.commit(version.stored);
  return version;
}

describe("over a line with faults", () => {
  let server: Radosgw;
  let proxy: FaultyProxy;
  beforeAll(async () => {
    server = await startRadosgw();
    await server.bucket("objects");
  });
  afterAll(() => server?.stop());
  let options: ObjectStoreOptions & { kind: "s3" };
  let prefixes = 0;
  beforeEach(async () => {
    proxy = await FaultyProxy.start(server.endpoint);
    options = {
      kind: "s3",
      endpoint: proxy.endpoint,
      bucket: "objects",
      prefix: `run-${prefixes++}`,
      accessKeyId: server.accessKey,
      secretAccessKey: server.secretKey,
    };
    world.ctx.objects = await openObjectStore(options);
  });
  afterEach(async () => {
    await world.ctx.objects.close();
    await proxy.close();
  });

  const FAULTS: Fault[] = [
    { kind: "status", status: 500, code: "InternalError" },
    { kind: "status", status: 503, code: "SlowDown" },
    { kind: "cut request" },
    { kind: "lose answer" },
    { kind: "cut answer" },
    { kind: "shorten answer" },
    { kind: "flip request" },
    { kind: "flip answer" },
  ];

  test("uploads and restores are right in the end, whatever happens to each of sixty requests", async () => {
    writeFileSync(live, randomBytesOf(40 * MiB));
    world.ctx.attempts = 8;
    const harm = () => {
      proxy.faults = Array.from({ length: 60 }, (_, number) => FAULTS[number % FAULTS.length] as Fault);
    };
    harm();
    const version = await uploaded();
    harm();
    await restore(version.manifest, world.at("restored"), undefined, world.ctx);
    await run("cmp", [live, world.at("restored")]);
    expect(proxy.faults).toEqual([]);
    expect((await verify(version.manifest, world.ctx)).bad).toEqual([]);
  });

  test("a server that answers 503 without end fails the upload, and the next one makes it good", async () => {
    writeFileSync(live, randomBytesOf(8 * MiB));
    world.ctx.objects = await openObjectStore({ ...options, attempts: 1 });
    const failing = Array<Fault>(1000).fill({ kind: "status", status: 503, code: "SlowDown" });
    proxy.faults = failing;
    const error = { name: "ObjectError", code: "busy", retryable: true, message: expect.stringContaining("chunks/") };
    const ctx = { ...world.ctx, attempts: 2 };
    await expect(upload(live, undefined, world.index, ctx)).rejects.toMatchObject(error);
    proxy.faults = [];
    const version = await uploaded();
    await restore(version.manifest, world.at("restored"), undefined, world.ctx);
    await run("cmp", [live, world.at("restored")]);
  });

  test("what may succeed later is tried again after the store itself has given up", async () => {
    writeFileSync(live, randomBytesOf(MiB));
    world.ctx.objects = await openObjectStore({ ...options, attempts: 1 });
    proxy.faults = Array<Fault>(3).fill({ kind: "status", status: 500 });
    world.ctx.attempts = 5;
    const version = await uploaded();
    expect(proxy.requests).toEqual(["PUT", "PUT", "PUT", "PUT", "PUT"]);
    proxy.faults = [{ kind: "cut answer" }, { kind: "status", status: 503 }];
    await restore(version.manifest, world.at("restored"), undefined, world.ctx);
    await run("cmp", [live, world.at("restored")]);
  });

  test("wrong credentials are told at once", async () => {
    writeFileSync(live, randomBytesOf(4 * MiB));
    world.ctx.objects = await openObjectStore({ ...options, secretAccessKey: "x".repeat(40) });
    world.ctx.attempts = 5;
    await expect(uploaded()).rejects.toMatchObject({ name: "ObjectError", code: "denied" });
    expect(proxy.requests.length).toBeLessThanOrEqual(4);
  });

  test("a server that is killed and comes back in the middle of an upload is not noticed", async () => {
    writeFileSync(live, randomBytesOf(60 * MiB));
    world.ctx.objects = await openObjectStore({ ...options, endpoint: server.endpoint });
    world.ctx.attempts = 8;
    let killed: Promise<void> | undefined;
    world.ctx.onProgress = () => {
      killed ??= server.kill().then(() => server.restart());
    };
    const version = await uploaded();
    expect(killed).toBeDefined();
    await killed;
    await restore(version.manifest, world.at("restored"), undefined, world.ctx);
    await run("cmp", [live, world.at("restored")]);
  });

  test("an upload that is stuck can be given up", async () => {
    writeFileSync(live, randomBytesOf(4 * MiB));
    proxy.faults = Array<Fault>(100).fill({ kind: "stall" });
    const abort = new AbortController();
    const stuck = upload(live, undefined, world.index, { ...world.ctx, signal: abort.signal });
    stuck.catch(() => undefined);
    await delay(300);
    abort.abort();
    await expect(stuck).rejects.toMatchObject({ name: "ObjectError", code: "aborted" });
  });
});

test("an index that fails, fails the upload", async () => {
  writeFileSync(live, randomBytesOf(MiB));
  const index = { claim: () => Promise.reject(new Error("no server")) };
  await expect(upload(live, undefined, index, world.ctx)).rejects.toThrow("no server");
  const silent = { claim: async () => [] };
  await expect(upload(live, undefined, silent, world.ctx)).rejects.toThrow("does not answer about");
});

test("a disk that is full fails a restore, and nothing is left on it", async () => {
  writeFileSync(live, randomBytesOf(30 * MiB));
  const { manifest } = await uploaded();
  const small = join(world.dir, "small");
  await mkdir(small);
  mount("tmpfs", "test", small, "size=10m");
  try {
    const to = join(small, "restored");
    await expect(restore(manifest, to, undefined, world.ctx)).rejects.toMatchObject({ code: "ENOSPC" });
    expect(readdirSync(small)).toEqual([]);
  } finally {
    unmount(small);
  }
});

describe("processes that are killed", () => {
  /** Starts a mover and kills it after `dots` signs of progress; whether it had ended before. */
  async function killed(task: Task, dots: number): Promise<boolean> {
    const mover = new URL("./testing/mover.ts", import.meta.url).pathname;
    const running = spawn(process.execPath, [mover], { env: { MOVER_TASK: JSON.stringify(task) }, reject: false });
    let said = "";
    for await (const data of running.stdout) {
      said += data;
      if (said.split(".").length > dots) running.kill("SIGKILL");
    }
    await running;
    return said.includes("done");
  }
  const directory = () => ({ kind: "directory" as const, path: join(world.dir, "objects") });

  test("a restore is whole or not there, and the next one is whole", async () => {
    writeFileSync(live, randomBytesOf(120 * MiB));
    const version = await uploaded();
    const to = world.at("restored");
    let interrupted = 0;
    for (const dots of [1, 5, 20, 60, 115, 120]) {
      const task = { objects: directory(), restore: version.manifest, to };
      if (!(await killed(task, dots))) interrupted++;
      if (existsSync(to)) await run("cmp", [live, to]);
      rmSync(to, { force: true });
    }
    expect(interrupted).toBeGreaterThan(2);
    await restore(version.manifest, to, undefined, world.ctx);
    await run("cmp", [live, to]);
    expect(readdirSync(world.store.path).sort()).toEqual(["live", "restored"]);
  });

  test("an upload harms no earlier version, and the next one is whole", async () => {
    writeFileSync(live, randomBytesOf(100 * MiB));
    const first = await uploaded();
    const original = world.at("first");
    world.store.clone(live, original);
    for (const dots of [1, 2, 3]) {
      writeAt(live, dots * 20 * MiB, randomBytesOf(10 * MiB));
      expect(await killed({ objects: directory(), upload: live }, dots)).toBe(false);
      expect((await verify(first.manifest, world.ctx)).bad).toEqual([]);
    }
    const next = await uploaded();
    await restore(next.manifest, world.at("restored"), { manifest: first.manifest, path: original }, world.ctx);
    await run("cmp", [live, world.at("restored")]);
    const keys = next.manifest.chunks.map(([, hash, epoch]) => chunkKey("default", hash, epoch));
    expect(keys).toHaveLength(100);
    expect(readFileSync(join(world.dir, "objects", "objects", `${keys[0]}=`)).length).toBeGreaterThan(1000);
  });
});
