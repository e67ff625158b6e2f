/** The life of a version: written in a mounted volume, frozen, uploaded, restored elsewhere. */
import { writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "@mags/kit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { restore, snapshot, upload, verify } from "./index.ts";
import { makeWorld, type World } from "./testing/world.ts";

let world: World;
beforeEach(async () => {
  world = await makeWorld();
});
afterEach(() => world.close());

test("what was written to a mounted volume is there in what is restored from its version, byte for byte", async () => {
  const { at, store, templates, index, ctx } = world;
  await templates.create(at("live"), 0.5, "journaled");
  const target = await world.mount(at("live"));
  writeFileSync(join(target, "upper", "file"), "content");
  const { frozenMs } = await snapshot(store, at("live"), target, at("one"));
  expect(frozenMs).toBeGreaterThan(0);
  writeFileSync(join(target, "upper", "file"), "later");
  const version = await upload(at("one"), undefined, index, ctx);
  if (!version) throw new Error("nothing was uploaded");
  expect(version.stored.length).toBe(version.manifest.chunks.length + 1);
  expect(await verify(version.manifest, ctx)).toMatchObject({ chunks: version.manifest.chunks.length, bad: [] });
  await restore(version.manifest, at("restored"), undefined, ctx);
  await run("cmp", [at("one"), at("restored")]);
  const restored = await world.mount(at("restored"));
  expect(await run("cat", [join(restored, "upper", "file")])).toBe("content");
  await rm(at("one"));
});
