/** Volumes on a real XFS in a file, and on whatever the machine's own file system is. */
import { readFileSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, stat, statfs, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, mount, mountImage, run, unmount } from "@mags/kit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ReflinkStore, StoreFull, Templates } from "./index.ts";

const MiB = 1024 ** 2;
const logger = createLogger("silent");
let dir: string;
let undo: (() => unknown)[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "mags-volumes-"));
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
  undo = [];
  await rm(dir, { recursive: true, force: true });
});

const loopsOf = async (path: string) =>
  (await run("losetup", ["-a"])).split("\n").filter((line) => line.includes(path));

test("a volume is a file system of its size with its two directories, and a copy shares its blocks", async () => {
  const store = await ReflinkStore.open({ dir, logger, firstBytes: 512 * MiB });
  undo.push(() => store.close());
  const templates = new Templates(store);
  const [first, second] = [join(store.path, "a.ext4"), join(store.path, "b.ext4")];
  await templates.create(first, 0.25, "journaled");
  const target = join(dir, "mnt");
  await mkdir(target);
  mountImage("ext4", first, target);
  undo.push(() => unmount(target));
  expect((await run("ls", [target])).split("\n")).toEqual(["lost+found", "upper", "work"]);
  const { bsize, blocks } = await statfs(target);
  expect((bsize * blocks) / MiB).toBeGreaterThan(200);
  expect(() => writeFileSync(join(target, "big"), Buffer.alloc(300 * MiB))).toThrow("ENOSPC");
  unmount(target);
  const before = (await statfs(store.path)).bavail;
  store.clone(first, second);
  expect(before - (await statfs(store.path)).bavail).toBeLessThan(256);
  await run("cmp", [first, second]);
  expect(() => store.clone(first, second)).toThrow("EEXIST");
});

test("an image that is still mounted elsewhere is opened over the same device, never over a second one", async () => {
  const first = await ReflinkStore.open({ dir, logger, firstBytes: 400 * MiB });
  const own = (await loopsOf(dir)).length;
  // As an agent that was killed leaves it: somebody else's mount namespace holds the file system.
  const other = join(dir, "other");
  await mkdir(other);
  if (own > 0) mountImage("xfs", join(dir, "volumes.xfs"), other);
  else mount("", first.path, other, "", 0x1000);
  undo.push(() => unmount(other));
  await first.close();
  const second = await ReflinkStore.open({ dir, logger });
  undo.push(() => second.close());
  expect(await loopsOf(dir)).toHaveLength(own);
  writeFileSync(join(second.path, "seen"), "by both");
  expect(await run("cat", [join(other, "seen")])).toBe("by both");
});

test("a store of our own grows when it fills, and gives back what is deleted", { timeout: 90_000 }, async () => {
  // A tmpfs has no reflinks, so that this is the same on every machine.
  mount("tmpfs", "test", dir, "size=3g");
  undo.push(() => unmount(dir));
  const store = await ReflinkStore.open({ dir, logger, firstBytes: 400 * MiB });
  undo.push(() => store.close());
  const total = async () => (await statfs(store.path)).blocks;
  const before = await total();
  writeFileSync(join(store.path, "big"), Buffer.alloc(260 * MiB, 1));
  await store.grow();
  expect(await total()).toBeGreaterThan(before * 1.3);
  writeFileSync(join(store.path, "more"), Buffer.alloc(200 * MiB, 1));
  await run("sync", ["-f", store.path]);
  const used = async () => (await stat(join(dir, "volumes.xfs"))).blocks * 512;
  expect(await used()).toBeGreaterThan(450 * MiB);
  await rm(join(store.path, "big"));
  // The kernel frees a removed file's blocks in the background, and tells the device with a later write of its journal.
  const settled = () => run("sync", ["-f", store.path]).then(used);
  await expect.poll(settled, { timeout: 60_000, interval: 500 }).toBeLessThan(300 * MiB);
});

test("a full disk whose own file system has reflinks is opened, and what is on it is there", async () => {
  const [image, target] = [join(dir, "disk.xfs"), join(dir, "disk")];
  writeFileSync(image, "");
  await truncate(image, 400 * MiB);
  await run("mkfs.xfs", ["-q", "-m", "reflink=1", image]);
  await mkdir(target);
  mountImage("xfs", image, target);
  undo.push(() => unmount(target));
  const first = await ReflinkStore.open({ dir: target, logger });
  writeFileSync(join(first.path, "kept"), "kept");
  await first.close();
  for (let bytes = 400 * MiB; bytes >= 4096; bytes /= 2)
    await run("fallocate", ["-l", String(Math.floor(bytes)), join(target, `filler-${bytes}`)]).catch(() => undefined);
  expect(() => writeFileSync(join(target, "more"), Buffer.alloc(64 * 1024))).toThrow("ENOSPC");
  const second = await ReflinkStore.open({ dir: target, logger });
  expect(readFileSync(join(second.path, "kept"), "utf8")).toBe("kept");
  expect((await second.space()).free).toBe(0);
  await second.close();
});

test("new work is refused before the host's disk is full", async () => {
  mount("tmpfs", "test", dir, "size=600m");
  undo.push(() => unmount(dir));
  const store = await ReflinkStore.open({ dir, logger, firstBytes: 400 * MiB });
  undo.push(() => store.close());
  await store.room(100 * MiB);
  expect((await store.space()).free).toBeLessThan(600 * MiB);
  writeFileSync(join(dir, "filler"), Buffer.alloc(500 * MiB, 1));
  await expect(store.room(100 * MiB)).rejects.toThrow(StoreFull);
  await truncate(join(dir, "filler"), 0);
  await store.room(100 * MiB);
});
