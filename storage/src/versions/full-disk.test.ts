import {
  closeSync,
  constants,
  fdatasyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { mkdir, mkdtemp, rm, statfs, truncate } from "node:fs/promises";
import { join } from "node:path";
import { createLogger, extentsOf, loopOf, mountImage, run, unmount } from "@mags/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ReflinkStore, Templates } from "../volumes/index.ts";
import { makeMountable, mend, mountVolume, snapshot } from "./index.ts";

const PAGE = 4096;
const BLOCKS = 1024;
let dir: string;
let disk: string;
let store: ReflinkStore;
beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-full-");
  disk = join(dir, "disk");
  await mkdir(disk);
  writeFileSync(join(dir, "image"), "");
  await truncate(join(dir, "image"), 400 * 1024 ** 2);
  await run("mkfs.xfs", ["-q", "-m", "reflink=1", join(dir, "image")]);
  mountImage("xfs", join(dir, "image"), disk);
  store = await ReflinkStore.open({ dir: join(disk, "store"), logger: createLogger("silent") });
});
afterAll(async () => {
  await store.close();
  unmount(disk);
  await rm(dir, { recursive: true, force: true });
});

/** A new volume, and where it is mounted. */
async function mounted(name: string): Promise<{ volume: string; at: string }> {
  const [volume, at] = [join(store.path, name), join(dir, name)];
  await new Templates(store).create(volume, 0.1, "journaled");
  await mkdir(at);
  mountVolume(volume, at);
  return { volume, at };
}

/** Until not a block is left; answers what to remove for room. */
async function fill(): Promise<string[]> {
  const fillers: string[] = [];
  for (let bytes = (await statfs(disk)).bavail * PAGE; bytes >= PAGE; ) {
    const path = join(disk, `filler-${fillers.length}`);
    fillers.push(path);
    const fits = await run("fallocate", ["-l", String(bytes), path]).then(
      () => true,
      () => false,
    );
    if (!fits) bytes = Math.floor(bytes / 2);
  }
  return fillers;
}

/** Where the pages of a file are in its volume. */
function pagesOf(path: string): number[] {
  const fd = openSync(path, "r");
  try {
    const extents = [...extentsOf(fd)].flat();
    return extents.flatMap(({ physical, length }) =>
      Array.from({ length: length / PAGE }, (_, index) => physical + index * PAGE),
    );
  } finally {
    closeSync(fd);
  }
}

const marked = (index: number, round: number) => Buffer.alloc(PAGE, `${round}.${index};`);

test("on a full disk a volume takes what is written whole or says that it has not, and is mended when there is room", async () => {
  const { volume, at } = await mounted("full");
  const path = join(at, "upper", "file");
  const write = (round: number, first: number, count: number) => {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT);
    try {
      const pages = Array.from({ length: count }, (_, index) => marked(first + index, round));
      writeSync(fd, Buffer.concat(pages), 0, count * PAGE, first * PAGE);
      fdatasyncSync(fd);
    } finally {
      closeSync(fd);
    }
  };
  write(0, 0, BLOCKS);
  // Every second page becomes a hole of the volume: of two in a row the disk can take one.
  for (const [index, offset] of pagesOf(path).entries())
    if (index % 2 === 1) await run("fallocate", ["-p", "-o", String(offset), "-l", String(PAGE), volume]);
  const fillers = await fill();
  const kept: number[] = Array.from({ length: BLOCKS }, (_, index) => (index % 2 === 0 ? 0 : -1));
  let refused = 0;
  for (let first = 0; first + 8 <= BLOCKS; first += 8) {
    try {
      write(1, first, 8);
      kept.fill(1, first, first + 8);
    } catch {
      refused++;
      // Whatever of it is there.
      kept.fill(-1, first, first + 8);
    }
  }
  expect(refused).toBeGreaterThan(0);
  for (const filler of fillers) await rm(filler, { force: true });
  unmount(at);
  await expect.poll(() => loopOf(volume), { timeout: 10_000 }).toBeUndefined();
  await makeMountable(volume);
  expect(await run("e2fsck", ["-fn", volume])).toContain("Pass 5");
  mountVolume(volume, at);
  try {
    const found = readFileSync(path);
    const lost = kept.flatMap((round, index) => {
      const page = found.subarray(index * PAGE, (index + 1) * PAGE);
      return round < 0 || page.equals(marked(index, round)) ? [] : [index];
    });
    expect(lost).toEqual([]);
    write(2, 0, 8);
  } finally {
    unmount(at);
  }
}, 60_000);

test("a volume that the kernel has made read-only is taken as it is on the disk, mended, with what is amiss", async () => {
  const { volume, at } = await mounted("aborted");
  writeFileSync(join(at, "upper", "file"), "durable", { flush: true });
  // As after an error that the kernel has met (fs/ext4/sysfs.c).
  writeFileSync(`/sys/fs/ext4/${loopOf(volume)}/trigger_fs_error`, "a test");
  const taken = join(store.path, "taken-aborted");
  const { damaged } = await snapshot(store, volume, at, taken);
  expect(damaged).toMatch(/EROFS/);
  unmount(at);
  await makeMountable(taken);
  expect(await run("e2fsck", ["-fn", taken])).toContain("Pass 5");
  await expect.poll(() => loopOf(volume), { timeout: 10_000 }).toBeUndefined();
  await makeMountable(volume);
  mountVolume(volume, at);
  try {
    expect(readFileSync(join(at, "upper", "file"), "utf8")).toBe("durable");
    closeSync(openSync(join(at, "upper", "another"), "w"));
  } finally {
    unmount(at);
  }
}, 60_000);

test("a volume whose journal found no room, of which the kernel has noted nothing else, is mended before it is mounted again", async () => {
  const { volume, at } = await mounted("journal");
  writeFileSync(join(at, "upper", "file"), "durable", { flush: true });
  // What is shared takes room when it is written again, the superblock as well.
  store.clone(volume, join(store.path, "shared-journal"));
  const fillers = await fill();
  mkdirSync(join(at, "upper", "lost"));
  await expect(run("sync", ["--file-system", at])).rejects.toThrow();
  unmount(at);
  await expect.poll(() => loopOf(volume), { timeout: 10_000 }).toBeUndefined();
  for (const filler of fillers) await rm(filler, { force: true });
  const copy = join(store.path, "copy-journal");
  store.clone(volume, copy);
  expect(await run("dumpe2fs", ["-h", copy])).toMatch(/needs_recovery[\s\S]*Filesystem state: +clean\n/);
  await mend(copy);
  expect(await run("e2fsck", ["-fn", copy])).toContain("Pass 5");
  await makeMountable(volume);
  mountVolume(volume, at);
  try {
    expect(readFileSync(join(at, "upper", "file"), "utf8")).toBe("durable");
    expect(await run("dumpe2fs", ["-h", volume])).not.toMatch(/FS Error/);
  } finally {
    unmount(at);
  }
}, 60_000);
