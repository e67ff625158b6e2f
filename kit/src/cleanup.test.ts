import { expect, test } from "vitest";
import { Cleanup } from "./cleanup.ts";

test("steps are undone last in first out, and once however often it is run", async () => {
  const done: string[] = [];
  const cleanup = new Cleanup();
  cleanup.add("first", () => done.push("first"));
  cleanup.add("second", async () => {
    await Promise.resolve();
    done.push("second");
  });
  await Promise.all([cleanup.run(), cleanup.run()]);
  await cleanup.run();
  expect(done).toEqual(["second", "first"]);
});

test("a step that fails does not keep the others from their turn, and all failures are told", async () => {
  const done: string[] = [];
  const cleanup = new Cleanup();
  const fail = (message: string) => () => {
    throw new Error(message);
  };
  cleanup.add("volume", fail("busy"));
  cleanup.add("mount", () => done.push("mount"));
  cleanup.add("network", fail("no route"));
  await expect(cleanup.run()).rejects.toThrow(/network failed: no route; .*volume failed: busy/);
  expect(done).toEqual(["mount"]);
});

test("what is registered after the run is undone at once", async () => {
  const cleanup = new Cleanup();
  await cleanup.run();
  const undone = new Promise<void>((resolve) => cleanup.add("late", resolve));
  await undone;
});
