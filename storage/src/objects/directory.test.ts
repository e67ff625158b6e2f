import { lstat, mkdir, mkdtemp, readdir, rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { run, spawn } from "@mags/kit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ObjectStore, openObjectStore } from "./index.ts";
import { objectStoreContract } from "./testing/contract.ts";
import { isSealed } from "./testing/sealed.ts";

objectStoreContract("directory", async () => {
  const root = await mkdtemp("/tmp/mags-objects-");
  let count = 0;
  return {
    fresh: () => ({ kind: "directory", path: `${root}/${count++}/store` }),
    remove: () => rm(root, { recursive: true }),
  };
});

let root: string;
let path: string;
let store: ObjectStore;
beforeEach(async () => {
  root = await mkdtemp("/tmp/mags-objects-");
  path = join(root, "store");
  store = await openObjectStore({ kind: "directory", path });
});
afterEach(() => rm(root, { recursive: true }));

async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list("")) keys.push(key);
  return keys;
}

test("it says what it is", () => {
  expect(store.description).toBe(`directory ${path}`);
});

test("nobody but its user can read it", async () => {
  const umask = process.umask(0);
  await store.put("a/b/c", Buffer.from("x")).finally(() => process.umask(umask));
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  expect(entries.map(({ name }) => name).sort()).toEqual(["a", "b", "c=", "incoming", "objects"]);
  for (const entry of entries) {
    const { mode } = await lstat(join(entry.parentPath, entry.name));
    expect([entry.name, mode & 0o777]).toEqual([entry.name, entry.isDirectory() ? 0o700 : 0o600]);
  }
  expect((await lstat(path)).mode & 0o777).toBe(0o700);
});

test("deleting leaves no empty directories", async () => {
  await store.put("a/b/c", Buffer.from("x"));
  await store.put("a/d", Buffer.from("x"));
  await store.delete(["a/b/c"]);
  expect(await readdir(join(path, "objects"), { recursive: true })).toEqual(["a", "a/d="]);
  await store.delete(["a/d"]);
  expect(await readdir(join(path, "objects"))).toEqual([]);
});

test("a directory that a deletion has just removed is made again for a put", async () => {
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    for (let i = 0; i < 150; i++) {
      await store.put(`a/b/c/${writer}`, Buffer.from("x"), { ifAbsent: i % 2 === 0 });
      await store.delete([`a/b/c/${writer}`]);
    }
  });
  await Promise.all(writers);
  expect(await readdir(join(path, "objects"))).toEqual([]);
});

test("what a crash has left is not seen, and removed after an hour", async () => {
  await store.check();
  const [old, young] = ["old", "young"].map((name) => join(path, "incoming", name)) as [string, string];
  for (const file of [old, young]) await writeFile(file, "half an obj");
  const age = new Date(Date.now() - 3_700_000);
  await utimes(old, age, age);
  expect(await keysOf(store)).toEqual([]);
  const next = await openObjectStore({ kind: "directory", path });
  await next.check();
  expect(await readdir(join(path, "incoming"))).toEqual(["young"]);
});

test("a process killed while it writes leaves whole objects only", async () => {
  const writer = new URL("./testing/endless-writer.ts", import.meta.url).pathname;
  let leftovers = 0;
  for (let round = 0; round < 8; round++) {
    const writing = spawn(process.execPath, [writer, path], { reject: false });
    await new Promise((resolve) => writing.stdout.once("data", resolve));
    await delay(Math.random() * 60);
    writing.kill("SIGKILL");
    await writing;
    leftovers += (await readdir(join(path, "incoming"))).length;
    let seen = 0;
    for await (const { key, bytes } of store.list("")) {
      const body = await store.get(key);
      expect([key, body.length, isSealed(body)]).toEqual([key, bytes, true]);
      seen++;
    }
    expect(seen).toBeGreaterThan(0);
  }
  // Else no kill has hit a write, and nothing was shown.
  expect(leftovers).toBeGreaterThan(0);
});

test("a store that has disappeared is unreachable, not empty", async () => {
  const gone = { code: "unreachable", hint: expect.stringContaining("mounted") };
  const never = await openObjectStore({ kind: "directory", path: join(root, "never") });
  await expect(never.get("a")).rejects.toMatchObject(gone);
  await store.put("a", Buffer.from("x"));
  await rename(path, `${path}.away`);
  await expect(store.get("a")).rejects.toMatchObject(gone);
  await expect(store.has("a")).rejects.toMatchObject(gone);
  await expect(store.delete(["a"])).rejects.toMatchObject(gone);
  await expect(keysOf(store)).rejects.toMatchObject(gone);
  await expect(store.put("a", Buffer.from("y"))).rejects.toMatchObject({ code: "unreachable" });
  await expect(store.put("b/c", Buffer.from("y"))).rejects.toMatchObject({ code: "unreachable" });
});

test("a full disk is said to be full, and what is there stays readable", async () => {
  await mkdir(path);
  await run("mount", ["-t", "tmpfs", "-o", "size=1m", "mags-test", path]);
  try {
    await store.put("small", Buffer.from("x"));
    const put = store.put("large", Buffer.alloc(4 * 1024 * 1024));
    await expect(put).rejects.toMatchObject({ code: "full", retryable: false, hint: expect.stringContaining("room") });
    expect(await store.has("large")).toBe(false);
    expect(String(await store.get("small"))).toBe("x");
    expect(await readdir(join(path, "incoming"))).toEqual([]);
    await store.put("small", Buffer.from("y"));
  } finally {
    await run("umount", [path]);
  }
});

test("a path that is a file is refused with a hint", async () => {
  await writeFile(path, "");
  await expect(store.check()).rejects.toMatchObject({ code: "invalid", hint: expect.stringContaining("directory") });
});

test("a directory that may not be written is denied", async () => {
  await mkdir(path);
  await run("mount", ["-t", "tmpfs", "-o", "ro", "mags-test", path]);
  try {
    await expect(store.check()).rejects.toMatchObject({ code: "denied", hint: expect.stringContaining("read-only") });
  } finally {
    await run("umount", [path]);
  }
});
