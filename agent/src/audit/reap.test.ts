import { createLogger } from "@mags/kit";
import { expect, test } from "vitest";
import { ContainerDriver } from "../drivers/container/index.ts";
import { openTestDriver } from "../drivers/container/testing.ts";
import { reap } from "./reap.ts";

test("what an agent that was killed has left goes after two rounds, and what lives stays", {
  timeout: 120_000,
}, async () => {
  const world = await openTestDriver("reap");
  const [closing, logger] = [new AbortController(), createLogger("silent")];
  try {
    const sandbox = await world.create();
    const forgotten = await world.create();
    const left = async () => (await world.driver.traces()).filter(({ held }) => !held).map(({ name }) => name);
    expect(await left()).toEqual([]);
    // As by a successor that has adopted one of both.
    const successor = await ContainerDriver.open(world.options);
    expect(await successor.adopt(sandbox.id)).toBeDefined();
    const rounds = reap(
      { traces: () => successor.traces(), remove: (trace) => successor.removeTrace(trace) },
      { roundMs: 200, signal: closing.signal, logger },
    );
    const names = async () => new Set((await successor.traces()).map(({ name }) => name));
    await expect.poll(async () => (await names()).has(forgotten.id), { timeout: 60_000 }).toBe(false);
    closing.abort();
    await rounds;
    expect((await names()).has(sandbox.id)).toBe(true);
    expect(sandbox.isRunning()).toBe(true);
  } finally {
    closing.abort();
    await world.close();
  }
});
