/** The system calls against the real kernel; as root. */
import { closeSync, constants, openSync, statSync, writeSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeFifo, mount, reflink, SyscallError, setPipeSize, splicePipe, unmount, unmountAside } from "./index.ts";

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
