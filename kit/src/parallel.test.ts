import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { allEnded, inParallel } from "./parallel.ts";

test("every item is worked on once, no more than the limit at a time", async () => {
  const seen: number[] = [];
  let [now, most] = [0, 0];
  const items = Array.from({ length: 50 }, (_, index) => index);
  await inParallel(4, items, async (item) => {
    most = Math.max(most, ++now);
    await delay(1);
    seen.push(item);
    now--;
  });
  expect(most).toBe(4);
  expect(seen.sort((a, b) => a - b)).toEqual(items);
});

test("after a failure nothing is begun, and it is told when the others have ended", async () => {
  const [begun, ended] = [[] as number[], [] as number[]];
  const all = inParallel(3, [1, 2, 3, 4, 5, 6], async (item) => {
    begun.push(item);
    if (item === 2) throw new Error("no");
    await delay(20);
    ended.push(item);
  });
  await expect(all).rejects.toThrow("no");
  expect(begun).toEqual([1, 2, 3]);
  expect(ended).toEqual([1, 3]);
});

test("items may come as they are made, and a failure of their maker is one of the whole", async () => {
  const seen: number[] = [];
  async function* items() {
    yield 1;
    await delay(1);
    yield 2;
    throw new Error("dry");
  }
  await expect(inParallel(2, items(), async (item) => seen.push(item))).rejects.toThrow("dry");
  expect(seen).toEqual([1, 2]);
});

test("of works begun together a failure is told when all have ended", async () => {
  let ended = false;
  const slow = delay(20).then(() => {
    ended = true;
  });
  await expect(allEnded([slow, Promise.reject(new Error("no"))])).rejects.toThrow("no");
  expect(ended).toBe(true);
  expect(await allEnded([Promise.resolve(1), "two"])).toEqual([1, "two"]);
});
