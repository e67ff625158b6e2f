import { readFileSync, statfsSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { run } from "@mags/kit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { resize } from "./resize.ts";
import { makeWorld, type World } from "./testing/world.ts";

const GiB = 1024 ** 3;
const CAP_SYS_RESOURCE = 24n;
const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
const mayGrowMounted = ((BigInt(`0x${capabilities}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;
let world: World;
let volume: string;
beforeEach(async () => {
  world = await makeWorld();
  volume = world.at("volume");
  await world.templates.create(volume, 0.25, "journaled");
});
afterEach(() => world.close());

const sizeAt = (target: string) => {
  const { blocks, bsize } = statfsSync(target);
  return (blocks * bsize) / GiB;
};

test("a mounted volume grows under its users where the kernel lets us, else at its next mount", async () => {
  const target = await world.mount(volume);
  writeFileSync(join(target, "file"), "content");
  expect(await resize(world.store, volume, 1.5, target)).toMatch(mayGrowMounted ? /^grown$/ : /may not grow/);
  expect(statSync(volume).size).toBe(1.5 * GiB);
  expect(sizeAt(target)).toBeGreaterThan(mayGrowMounted ? 1.3 : 0.2);
  writeFileSync(join(target, "more"), Buffer.alloc(100 * 1024 ** 2, 1));
  world.unmount(target);
  expect(await resize(world.store, volume, 1.5, undefined)).toBe("grown");
  await run("e2fsck", ["-fn", volume]);
  const grown = await world.mount(volume);
  expect(sizeAt(grown)).toBeGreaterThan(1.3);
  writeFileSync(join(grown, "big"), Buffer.alloc(270 * 1024 ** 2, 1));
  expect(readFileSync(join(grown, "file"), "utf8")).toBe("content");
});

test("a volume that is not mounted grows, and nothing else is left in the store", async () => {
  const target = await world.mount(volume);
  writeFileSync(join(target, "file"), "content");
  world.unmount(target);
  await resize(world.store, volume, 2, undefined);
  const grown = await world.mount(volume);
  expect(sizeAt(grown)).toBeGreaterThan(1.8);
  expect(readFileSync(join(grown, "file"), "utf8")).toBe("content");
  expect((await readdir(world.store.path)).sort()).toEqual(["templates", "volume"]);
});

test("shrinking is refused and changes nothing", async () => {
  const target = await world.mount(volume);
  const refused = { name: "VersionError", code: "invalid", message: expect.stringContaining("cannot shrink") };
  await expect(resize(world.store, volume, 0.2, target)).rejects.toMatchObject(refused);
  expect(statSync(volume).size).toBe(0.25 * GiB);
});

test("one that was interrupted after the file had grown is finished by the next", async () => {
  const target = await world.mount(volume);
  truncateSync(volume, GiB);
  await resize(world.store, volume, 1, target);
  expect(sizeAt(target)).toBeGreaterThan(mayGrowMounted ? 0.9 : 0.2);
  await resize(world.store, volume, 1, target);
  world.unmount(target);
  truncateSync(volume, 2 * GiB);
  await resize(world.store, volume, 2, undefined);
  expect(sizeAt(await world.mount(volume))).toBeGreaterThan(1.8);
});
