/** The system calls against the real kernel; as root. */
import { closeSync, constants, fstatSync, ftruncateSync, lstatSync, openSync, statSync, writeSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, statfs, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  extentsOf,
  getXattr,
  makeFifo,
  makeWhiteout,
  mount,
  punchHole,
  reflink,
  removeXattr,
  SyscallError,
  setPipeSize,
  setXattr,
  splicePipe,
  unmount,
  unmountAside,
} from "./index.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-kit-");
});
afterAll(() => rm(dir, { recursive: true }));

const TMPFS_MAGIC = 0x01021994;

test("a file system is mounted and taken away, and taking it away twice is fine", async () => {
  const target = join(dir, "mnt");
  await mkdir(target);
  mount("tmpfs", "test", target, "size=1m");
  try {
    expect((await statfs(target)).type).toBe(TMPFS_MAGIC);
  } finally {
    unmount(target);
  }
  expect((await statfs(dir)).type).toBe((await statfs(target)).type);
  unmount(target);
});

test("a file system is taken away on another thread, while this one goes on", async () => {
  const target = join(dir, "aside");
  await mkdir(target);
  mount("tmpfs", "test", target, "size=1m");
  let turns = 0;
  const turning = setImmediate(function turn() {
    turns++;
    setImmediate(turn).unref();
  });
  await unmountAside(target);
  clearImmediate(turning);
  expect(turns).toBeGreaterThan(0);
  expect((await statfs(dir)).type).toBe((await statfs(target)).type);
  await unmountAside(target);
  await writeFile(join(dir, "file"), "");
  await expect(unmountAside(join(dir, "file", "below"))).rejects.toMatchObject({ code: "ENOTDIR" });
});

test("a call that the kernel refuses is named with its errno", () => {
  expect(() => mount("tmpfs", "test", join(dir, "missing"), "")).toThrow(SyscallError);
  expect(() => mount("no-such-type", "test", dir, "")).toThrow(expect.objectContaining({ code: "ENODEV" }));
});

test("splice moves bytes from a pipe into a file at an offset, all of them and once", async () => {
  const path = join(dir, "pipe");
  makeFifo(path);
  makeFifo(path);
  expect(statSync(path).isFIFO()).toBe(true);
  const pipe = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const file = openSync(join(dir, "file"), "w+");
  try {
    setPipeSize(pipe, 1024 * 1024);
    const bytes = Buffer.alloc(300_000, "0123456789");
    expect(writeSync(pipe, bytes)).toBe(bytes.length);
    let at = 5;
    for (let moved = 1; moved > 0; at += moved) moved = splicePipe(pipe, file, at, 70_000);
    expect(at).toBe(5 + bytes.length);
    expect(splicePipe(pipe, file, at, 1000)).toBe(0);
    expect((await readFile(join(dir, "file"))).subarray(5).equals(bytes)).toBe(true);
  } finally {
    closeSync(pipe);
    closeSync(file);
  }
});

test("a reflink has the content of its source, or says that the file system has none", async () => {
  const [from, to] = [join(dir, "from"), join(dir, "to")];
  await writeFile(from, "content");
  await writeFile(to, "");
  const [source, target] = [openSync(from, "r"), openSync(to, "w")];
  try {
    const shared = reflink(source, target);
    expect(await readFile(to, "utf8")).toBe(shared ? "content" : "");
  } finally {
    closeSync(source);
    closeSync(target);
  }
});

test("the extents of a file are where its data is, and a punched hole is none", async () => {
  const MiB = 1024 ** 2;
  const file = openSync(join(dir, "extents"), "w+");
  try {
    ftruncateSync(file, 16 * MiB);
    writeSync(file, Buffer.alloc(MiB, 1), 0, MiB, 4 * MiB);
    writeSync(file, Buffer.alloc(MiB, 1), 0, MiB, 8 * MiB);
    const pieces = () => {
      const found: [number, number][] = [];
      for (const { logical, length } of [...extentsOf(file)].flat()) {
        const last = found.at(-1);
        if (last && last[1] === logical) last[1] = logical + length;
        else found.push([logical, logical + length]);
      }
      return found;
    };
    expect(pieces()).toEqual([
      [4 * MiB, 5 * MiB],
      [8 * MiB, 9 * MiB],
    ]);
    punchHole(file, 8 * MiB, MiB);
    expect(pieces()).toEqual([[4 * MiB, 5 * MiB]]);
    expect(fstatSync(file).size).toBe(16 * MiB);
  } finally {
    closeSync(file);
  }
});

test("attributes of files with any name are set, read and removed; a symbolic link is not followed", async () => {
  const path = Buffer.concat([Buffer.from(join(dir, "name-")), Buffer.from([0xff, 0x0a])]);
  await writeFile(path, "");
  expect(getXattr(path, "trusted.test")).toBeUndefined();
  setXattr(path, "trusted.test", "value");
  expect(getXattr(path, "trusted.test")).toBe("value");
  const link = Buffer.from(join(dir, "link"));
  await symlink(path, link);
  expect(getXattr(link, "trusted.test")).toBeUndefined();
  removeXattr(path, "trusted.test");
  expect(getXattr(path, "trusted.test")).toBeUndefined();
  expect(() => getXattr(Buffer.from(join(dir, "missing")), "trusted.test")).toThrow("ENOENT");
});

test("a whiteout is a character device 0/0", () => {
  const path = join(dir, "whiteout");
  makeWhiteout(Buffer.from(path));
  expect(lstatSync(path).isCharacterDevice()).toBe(true);
  expect(lstatSync(path).rdev).toBe(0);
});
