/** Points in time of mounted volumes that are in use. */
import { chmodSync, existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { run, spawn } from "@mags/kit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { dataRanges } from "./ranges.ts";
import { hasChanged, snapshot, thawLeftover, thawLeftoverImage } from "./snapshot.ts";
import { makeWorld, type World } from "./testing/world.ts";

const MiB = 1024 ** 2;
let world: World;
let live: string;
let target: string;
beforeEach(async () => {
  world = await makeWorld();
  live = world.at("live");
  await world.templates.create(live, 0.25, "journaled");
  target = await world.mount(live);
});
afterEach(() => world.close());

const take = (name: string) => snapshot(world.store, live, target, world.at(name));

test("a snapshot under a writer is one point in time, of a file system that is clean", async () => {
  // Each number is in `a` before it is in `b`.
  const script = "i=0; while :; do i=$((i+1)); echo $i >> a; echo $i >> b; echo x > f$((i % 200)); done";
  const writer = spawn("sh", ["-c", script], { cwd: target, reject: false });
  try {
    for (const name of ["one", "two", "three", "four"]) {
      await delay(150);
      expect((await take(name)).frozenMs).toBeGreaterThan(0);
      const said = await run("e2fsck", ["-fn", world.at(name)]);
      expect(said).not.toContain("recovering journal");
      const mounted = await world.mount(world.at(name));
      const last = (file: string) => Number(readFileSync(join(mounted, file), "utf8").trimEnd().split("\n").at(-1));
      expect(last("a")).toBeGreaterThan(0);
      expect([0, 1]).toContain(last("a") - last("b"));
    }
  } finally {
    writer.kill("SIGKILL");
    await writer;
  }
});

test("several volumes may be frozen at a time", async () => {
  const others = await Promise.all(
    [1, 2, 3, 4, 5, 6].map(async (number) => {
      const image = world.at(`other-${number}`);
      await world.templates.create(image, 0.25, "journaled");
      return { image, mounted: await world.mount(image) };
    }),
  );
  await Promise.all(
    others.map(({ image, mounted }) => {
      writeFileSync(join(mounted, "file"), image);
      return snapshot(world.store, image, mounted, `${image}.snapshot`);
    }),
  );
  for (const { image } of others) {
    expect(readFileSync(join(await world.mount(`${image}.snapshot`), "file"), "utf8")).toBe(image);
  }
});

test("a snapshot that cannot be made leaves no file, and a volume that goes on", async () => {
  await expect(snapshot(world.store, live, target, join(world.dir, "elsewhere"))).rejects.toThrow("no reflinks");
  expect(existsSync(join(world.dir, "elsewhere"))).toBe(false);
  writeFileSync(world.at("taken"), "mine");
  await expect(take("taken")).rejects.toThrow("EEXIST");
  expect(readFileSync(world.at("taken"), "utf8")).toBe("mine");
  expect(thawLeftover(target)).toBe(false);
  await run("timeout", ["5", "touch", join(target, "file")]);
});

test("what a killed process has left frozen is thawed by the next, once", async () => {
  await run("fsfreeze", ["--freeze", target]);
  await expect(take("one")).rejects.toMatchObject({ code: "EBUSY" });
  expect(existsSync(world.at("one"))).toBe(false);
  expect(thawLeftover(target)).toBe(true);
  expect(thawLeftover(target)).toBe(false);
  await run("timeout", ["5", "touch", join(target, "file")]);
});

test("a frozen volume whose mounts are gone is thawed through its image, and its loop device is free then", async () => {
  writeFileSync(join(target, "file"), "content");
  await run("fsfreeze", ["--freeze", target]);
  world.unmount(target);
  const loops = async () => (await run("losetup", ["-j", live])).length;
  expect(await loops()).toBeGreaterThan(0);
  const scratch = join(world.dir, "scratch");
  await mkdir(scratch);
  expect(thawLeftoverImage(live, scratch)).toBe(true);
  await expect.poll(loops, { timeout: 10_000 }).toBe(0);
  expect(thawLeftoverImage(live, scratch)).toBe(false);
  expect(readFileSync(join(await world.mount(live), "file"), "utf8")).toBe("content");
});

test("a volume has changed when anybody did anything to a file, and not by snapshots", async () => {
  writeFileSync(join(target, "file"), Buffer.alloc(MiB, 1));
  let [number, parent] = [0, ""];
  const changed = () => hasChanged(live, target, parent);
  const next = async () => {
    parent = world.at(`snapshot-${number++}`);
    await snapshot(world.store, live, target, parent);
  };
  await next();
  expect(await changed()).toBe(false);
  await next();
  expect(await changed()).toBe(false);
  const deeds: (() => unknown)[] = [
    () => writeFileSync(join(target, "new"), ""),
    () => writeFileSync(join(target, "file"), "other"),
    () => chmodSync(join(target, "file"), 0o600),
    () => utimesSync(join(target, "file"), 1, 1),
    () => run("chattr", ["+A", join(target, "file")]),
    () => rmSync(join(target, "file")),
  ];
  for (const deed of deeds) {
    await deed();
    expect(await changed(), String(deed)).toBe(true);
    await next();
    expect(await changed(), `after ${deed}`).toBe(false);
  }
});

test("space of deleted files is in no later snapshot", async () => {
  const used = async (name: string) =>
    (await dataRanges(world.at(name))).reduce((sum, { start, end }) => sum + end - start, 0);
  await take("before");
  writeFileSync(join(target, "big"), Buffer.alloc(100 * MiB, 1));
  await take("full");
  rmSync(join(target, "big"));
  await take("after");
  expect(await used("full")).toBeGreaterThan(100 * MiB);
  expect(await used("after")).toBeLessThan((await used("before")) + 8 * MiB);
});

test("a volume that nobody has mounted is copied as it is", async () => {
  world.unmount(target);
  expect(await snapshot(world.store, live, undefined, world.at("one"))).toEqual({ frozenMs: 0 });
  await run("cmp", [live, world.at("one")]);
});
