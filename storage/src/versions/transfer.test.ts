/** Versions on their way to the object store and back: a directory, and a real S3 server. */
import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "@mags/kit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openObjectStore } from "../objects/index.ts";
import { type Radosgw, startRadosgw } from "../objects/testing/radosgw.ts";
import {
  drill,
  fetchManifest,
  type KnownVersion,
  type Manifest,
  restore,
  type Upload,
  upload,
  verify,
} from "./index.ts";
import { chunkKey, manifestKey } from "./manifest.ts";
import { randomBytesOf, writeAt } from "./testing/bytes.ts";
import { makeWorld, type World } from "./testing/world.ts";

const MiB = 1024 ** 2;
let server: Radosgw;
let buckets = 0;
beforeAll(async () => {
  server = await startRadosgw();
});
afterAll(() => server?.stop());

const openS3 = async () => {
  const bucket = `versions-${buckets++}`;
  await server.bucket(bucket);
  const { endpoint, region, accessKey: accessKeyId, secretKey: secretAccessKey } = server;
  return openObjectStore({ kind: "s3", endpoint, region, bucket, accessKeyId, secretAccessKey });
};

describe.each([
  ["a directory", () => undefined],
  ["S3", openS3],
])("versions in %s", (_, open) => {
  let world: World;
  let live: string;
  let number: number;
  beforeEach(async () => {
    world = await makeWorld(await open());
    live = world.at("live");
    number = 0;
  });
  afterEach(() => world.close());

  /** Takes a snapshot, uploads it and commits it, as an agent and a server do. */
  async function sync(parent?: KnownVersion): Promise<Upload & { path: string }> {
    const path = world.at(`snapshot-${number++}`);
    world.store.clone(live, path);
    const version = await upload(path, parent, world.index, world.ctx);
    if (!version) throw new Error("nothing was uploaded");
    world.index.commit(version.stored);
    return { ...version, path };
  }

  async function expectRestored(manifest: Manifest, original: string): Promise<void> {
    const to = world.at("restored");
    await restore(manifest, to, undefined, world.ctx);
    await run("cmp", [original, to]);
    await rm(to);
  }

  const objects = async () => {
    const keys: string[] = [];
    for await (const { key } of world.ctx.objects.list("")) keys.push(key);
    return keys;
  };

  test("a version is its manifest and one object a chunk, and is restored with its holes", async () => {
    writeFileSync(live, "");
    truncateSync(live, 50 * MiB + 1000);
    writeAt(live, 3 * MiB - 10, randomBytesOf(20));
    writeAt(live, 20 * MiB + 8192, randomBytesOf(4096));
    writeAt(live, 50 * MiB, randomBytesOf(1000));
    const version = await sync();
    expect(version.manifest.chunks.map(([index]) => index)).toEqual([2, 3, 20, 50]);
    const keys = version.manifest.chunks.map(([, hash, epoch]) => chunkKey("default", hash, epoch));
    expect(await objects()).toEqual([...keys, manifestKey("default", version.name)].sort());
    const stored = version.stored.map(({ hash, epoch }) => `${hash}.${epoch}`);
    expect(stored.sort()).toEqual([...keys.map((key) => key.split("/").at(-1)), version.name].sort());
    expect(version.changedBytes).toBe(3 * MiB + 1000);
    expect(version.newBytes).toBe(version.stored.reduce((sum, { stored_bytes }) => sum + stored_bytes, 0));
    expect(await fetchManifest(version.name, world.ctx)).toEqual(version.manifest);
    await restore(version.manifest, world.at("restored"), undefined, world.ctx);
    await run("cmp", [live, world.at("restored")]);
    expect(statSync(world.at("restored")).blocks).toBeLessThanOrEqual(statSync(live).blocks + 64);
    expect(await verify(version.manifest, world.ctx)).toEqual({ chunks: 4, bytes: 3 * MiB + 1000, bad: [] });
  });

  test("the next version uploads what has changed, and a snapshot without a change nothing at all", async () => {
    writeFileSync(live, randomBytesOf(30 * MiB));
    const first = await sync();
    const before = world.index.calls.length;
    const unchanged = world.at("unchanged");
    world.store.clone(live, unchanged);
    // An object store that fails all it is asked for.
    const nowhere = await openObjectStore({ kind: "directory", path: "/dev/null/objects" });
    for (const path of [first.path, undefined]) {
      const known = { manifest: first.manifest, path };
      expect(await upload(unchanged, known, world.index, { ...world.ctx, objects: nowhere })).toBeUndefined();
    }
    expect(world.index.calls).toHaveLength(before);
    writeAt(live, 10 * MiB + 5, Buffer.from("changed"));
    writeAt(live, 20 * MiB, Buffer.alloc(MiB));
    const second = await sync(first);
    expect(second.stored).toHaveLength(2);
    expect(second.changedBytes).toBe(2 * MiB);
    expect(second.manifest.chunks).toHaveLength(29);
    await expectRestored(second.manifest, live);
    await expectRestored(first.manifest, first.path);
  });

  test("a parent whose snapshot is gone is compared by hashes, with the same result", async () => {
    writeFileSync(live, randomBytesOf(12 * MiB));
    const first = await sync();
    writeAt(live, 5 * MiB, Buffer.from("changed"));
    writeAt(live, 7 * MiB, Buffer.alloc(MiB));
    const second = await sync({ manifest: first.manifest, path: undefined });
    expect(second.stored).toHaveLength(2);
    expect(second.changedBytes).toBe(2 * MiB);
    await expectRestored(second.manifest, live);
  });

  test("equal chunks are stored once: in one volume, in two, and for ever", async () => {
    const chunk = randomBytesOf(MiB);
    writeFileSync(live, Buffer.concat([chunk, randomBytesOf(MiB), chunk, chunk]));
    const first = await sync();
    expect(first.stored).toHaveLength(3);
    await expectRestored(first.manifest, live);
    const second = await sync();
    expect(second.stored).toEqual([]);
    expect(second.manifest).toEqual(first.manifest);
    expect(second.newBytes).toBe(0);
  });

  test("a chunk that is being collected and wanted again gets another key, which a late delete does not hit", async () => {
    writeFileSync(live, randomBytesOf(MiB));
    const first = await sync();
    const [, hash] = first.manifest.chunks[0] as [number, string, number];
    world.index.collect(hash);
    const second = await sync();
    expect(second.manifest.chunks).toEqual([[0, hash, 1]]);
    await world.ctx.objects.delete([chunkKey("default", hash, 0)]);
    await expectRestored(second.manifest, live);
  });

  test("a volume may grow and be cut between versions, its last chunk being short", async () => {
    writeFileSync(live, randomBytesOf(2 * MiB + 100));
    let parent = await sync();
    for (const size of [2 * MiB + 5000, 7 * MiB + 1, 7 * MiB + 2, 2 * MiB + 100, 3 * MiB, 512]) {
      truncateSync(live, size);
      const next = await sync(parent);
      expect(next.manifest.volume_bytes).toBe(size);
      await expectRestored(next.manifest, live);
      await restore(next.manifest, world.at("near"), parent, world.ctx);
      await run("cmp", [live, world.at("near")]);
      parent = next;
    }
  });

  test("with another version at hand only the difference is fetched, forwards and back", async () => {
    writeFileSync(live, randomBytesOf(20 * MiB));
    const first = await sync();
    writeAt(live, 4 * MiB + 9, Buffer.from("changed"));
    writeAt(live, 6 * MiB, Buffer.alloc(2 * MiB));
    truncateSync(live, 23 * MiB);
    writeAt(live, 22 * MiB, randomBytesOf(5000));
    const second = await sync(first);
    const forwards = await restore(second.manifest, world.at("forwards"), first, world.ctx);
    expect(forwards).toEqual({ fetchedChunks: 2, fetchedBytes: 2 * MiB, reusedBytes: 17 * MiB });
    await run("cmp", [live, world.at("forwards")]);
    const back = await restore(first.manifest, world.at("back"), second, world.ctx);
    expect(back).toEqual({ fetchedChunks: 3, fetchedBytes: 3 * MiB, reusedBytes: 17 * MiB });
    await run("cmp", [first.path, world.at("back")]);
  });

  test("a chunk that is damaged, cut or gone is named, and nothing is left behind", async () => {
    writeFileSync(live, randomBytesOf(6 * MiB));
    const { manifest } = await sync();
    const keys = manifest.chunks.map(([, hash, epoch]) => chunkKey("default", hash, epoch));
    const body = await world.ctx.objects.get(keys[3] as string);
    const flipped = Buffer.from(body);
    flipped[5000] = (flipped[5000] as number) ^ 1;
    const before = readdirSync(world.store.path);
    const other = await world.ctx.objects.get(keys[2] as string);
    for (const damage of [flipped, body.subarray(0, 1000), Buffer.alloc(0), Buffer.from("no zstd"), other]) {
      await world.ctx.objects.put(keys[3] as string, damage);
      const error = { name: "VersionError", code: "damaged", key: keys[3] };
      await expect(restore(manifest, world.at("restored"), undefined, world.ctx)).rejects.toMatchObject(error);
      const { bad } = await verify(manifest, world.ctx);
      expect(bad).toEqual([{ key: keys[3], reason: expect.stringContaining("damaged"), indexes: [3] }]);
    }
    await world.ctx.objects.delete([keys[1] as string]);
    const report = await drill(manifest, world.at("scratch"), world.ctx);
    expect(report).toMatchObject({ ok: false, fsck: undefined, verification: { chunks: 6, bytes: 6 * MiB } });
    expect(report.verification.bad.map(({ key }) => key)).toEqual([keys[1], keys[3]]);
    expect(readdirSync(world.store.path)).toEqual(before);
  });

  test("a manifest that is damaged or gone is named", async () => {
    writeFileSync(live, randomBytesOf(10_000));
    const { name, file } = await sync();
    const key = manifestKey("default", name);
    await world.ctx.objects.put(key, file.subarray(1));
    await expect(fetchManifest(name, world.ctx)).rejects.toMatchObject({ code: "damaged", key });
    await world.ctx.objects.delete([key]);
    await expect(fetchManifest(name, world.ctx)).rejects.toMatchObject({ code: "missing", key });
  });

  test("an upload or a restore that is given up ends soon and leaves nothing half", async () => {
    writeFileSync(live, randomBytesOf(150 * MiB));
    const path = world.at("one");
    world.store.clone(live, path);
    const abortAfter = (chunks: number) => {
      const abort = new AbortController();
      let calls = 0;
      const onProgress = () => ++calls === chunks && abort.abort();
      return { ...world.ctx, signal: abort.signal, onProgress };
    };
    const aborted = { name: "ObjectError", code: "aborted" };
    await expect(upload(path, undefined, world.index, abortAfter(1))).rejects.toMatchObject(aborted);
    expect((await objects()).filter((key) => key.includes("manifests"))).toEqual([]);
    const version = await sync();
    await expect(restore(version.manifest, world.at("to"), undefined, abortAfter(10))).rejects.toMatchObject(aborted);
    expect(readdirSync(world.store.path).sort()).toEqual(["live", "one", "snapshot-0"]);
    await expect(verify(version.manifest, abortAfter(10))).rejects.toMatchObject(aborted);
  });

  test("progress goes up to the whole", async () => {
    writeFileSync(live, randomBytesOf(60 * MiB));
    const seen: number[] = [];
    const onProgress = ({ done, total }: { done: number; total: number }) => seen.push(done / total);
    const path = world.at("one");
    world.store.clone(live, path);
    const version = await upload(path, undefined, world.index, { ...world.ctx, onProgress });
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(1);
    await restore((version as Upload).manifest, world.at("to"), undefined, { ...world.ctx, onProgress });
    expect(seen.at(-1)).toBe(1);
  });
});

test("a volume that already stands where one is restored is replaced when the new one is whole", async () => {
  const world = await makeWorld();
  try {
    writeFileSync(world.at("live"), randomBytesOf(3 * MiB));
    const version = (await upload(world.at("live"), undefined, world.index, world.ctx)) as Upload;
    writeFileSync(world.at("to"), "old");
    writeFileSync(world.at("to.part"), "left by a killed process");
    await restore(version.manifest, world.at("to"), undefined, world.ctx);
    expect(readFileSync(world.at("to")).equals(readFileSync(world.at("live")))).toBe(true);
    expect(existsSync(world.at("to.part"))).toBe(false);
    const gone = { ...world.ctx, org: "other" };
    await expect(restore(version.manifest, world.at("to"), undefined, gone)).rejects.toMatchObject({ code: "missing" });
    expect(readFileSync(world.at("to")).equals(readFileSync(world.at("live")))).toBe(true);
  } finally {
    await world.close();
  }
});

test("a drill restores, checks and mounts, and leaves nothing", async () => {
  const world = await makeWorld();
  try {
    await world.templates.create(world.at("live"), 0.5, "journaled");
    const target = await world.mount(world.at("live"));
    for (let file = 0; file < 50; file++) writeFileSync(join(target, "upper", `file-${file}`), randomBytesOf(50_000));
    // Not frozen, and with a journal to be replayed.
    await run("sync", ["-f", target]);
    world.store.clone(world.at("live"), world.at("one"));
    const version = (await upload(world.at("one"), undefined, world.index, world.ctx)) as Upload;
    const before = readdirSync(world.store.path);
    const report = await drill(version.manifest, world.at("scratch"), world.ctx);
    expect(report).toMatchObject({ ok: true, fsck: { clean: true }, verification: { bad: [] } });
    expect(report.verification.chunks).toBe(new Set(version.manifest.chunks.map(([, hash]) => hash)).size);
    expect(report.mounted?.inodes).toBeGreaterThan(50);
    expect(report.mounted?.bytes).toBeGreaterThan(2_500_000);
    expect(readdirSync(world.store.path)).toEqual(before);
    // Every hash is right, and what is in it is no file system.
    writeAt(world.at("one"), 1024, Buffer.alloc(1024, 0xff));
    const wrecked = (await upload(world.at("one"), undefined, world.index, world.ctx)) as Upload;
    const second = await drill(wrecked.manifest, world.at("scratch"), world.ctx);
    expect(second).toMatchObject({ ok: false, fsck: { clean: false }, verification: { bad: [] } });
  } finally {
    await world.close();
  }
});
