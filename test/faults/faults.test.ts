/**
 * Things go wrong at random moments under load, and after each of them everything that was promised must hold. The order
 * and the moments follow from a seed, which is printed. `npm run test:faults` is the long form.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { untilEmpty } from "../harness/daemon.ts";
import { faults, mostMs, only, seed } from "./config.ts";
import { faultKinds } from "./faults.ts";
import { Load } from "./load.ts";
import { Random } from "./random.ts";
import { World } from "./world.ts";

/** Connections that come and go; a leak is more than that. */
const FDS_ALLOWED = 40;
const RSS_ALLOWED_MB = 250;
const FAULT_MS = 240_000;

let world: World;

beforeAll(async () => {
  world = await World.create();
});
afterAll(() => world?.remove());

test(
  `${faults} faults under load: every job ends once, what was acknowledged is there, nothing is left`,
  async () => {
    const random = new Random(seed);
    const load = new Load(world, random);
    const results = new Map<string, { times: number; longestMs: number; violations: number }>();
    const violations: string[] = [];
    process.stdout.write(`fault suite: ${faults} faults, MAGS_FAULTS_SEED=${seed}\n`);
    await round(load);
    const before = await world.held();
    const end = performance.now() + mostMs;
    for (let number = 1, order: string[] = []; number <= faults && performance.now() < end; number++) {
      if (order.length === 0) order = random.shuffled(Object.keys(faultKinds).filter((kind) => kind.includes(only)));
      const kind = order.pop() as string;
      const since = performance.now();
      const { said, found } = await strike(kind, load, random);
      const ms = Math.round(performance.now() - since);
      violations.push(...found.map((violation) => `fault ${number}, ${kind} (${said}): ${violation}`));
      const { times = 0, longestMs = 0, violations: bad = 0 } = results.get(kind) ?? {};
      results.set(kind, { times: times + 1, longestMs: Math.max(longestMs, ms), violations: bad + found.length });
      process.stdout.write(
        `${number} ${kind}: ${said}; whole again after ${ms} ms${found.map((v) => `\n  ! ${v}`).join("")}\n`,
      );
    }
    violations.push(...(await load.everything()));
    process.stdout.write(table(results, load, seed));
    const after = await world.held();
    process.stdout.write(`descriptors ${before.fds} → ${after.fds}, memory ${before.rssMb} → ${after.rssMb} MB\n`);
    expect(violations).toEqual([]);
    expect(after.fds - before.fds, (await world.descriptors()).join("\n")).toBeLessThan(FDS_ALLOWED);
    expect(after.rssMb - before.rssMb).toBeLessThan(RSS_ALLOWED_MB);
  },
  60_000 + faults * FAULT_MS,
);

async function strike(kind: string, load: Load, random: Random): Promise<{ said: string; found: string[] }> {
  let said = "it did not strike";
  try {
    const used = load.begin();
    used.catch(() => undefined);
    await delay(random.between(0, 1500));
    said = (await faultKinds[kind]?.(world, random)) ?? "";
    await await used;
    return { said, found: await whole(load) };
  } catch (error) {
    return { said, found: [(error as Error).message] };
  }
}

/** Load without a fault. */
async function round(load: Load): Promise<void> {
  await await load.begin();
  expect(await whole(load)).toEqual([]);
}

/** Waits until everything has ended; answers what is not as it must be. */
async function whole(load: Load): Promise<string[]> {
  await load.settle();
  const found = await load.violations();
  const left = await untilEmpty(leftovers, 60_000).then(
    () => [],
    (error: Error) => [error.message],
  );
  return [...found, ...left];
}

/** On the machine, and in the rows that say who holds what. */
async function leftovers(): Promise<string[]> {
  const { body } = await world.ask("GET", "/api/v1/nodes");
  const held = body.nodes
    .filter((node: { jobs: number; dirty_workspaces: number }) => node.jobs > 0 || node.dirty_workspaces > 0)
    .map((node: object) => `still held: ${JSON.stringify(node)}`);
  if (held.length > 0) held.push(JSON.stringify((await world.ask("GET", "/api/v1/mags-workspaces")).body));
  // The store of the volumes has a loop device of its own for as long as the daemon runs.
  const left = (await world.daemon.leftovers()).filter((line) => !line.includes("agent/store/volumes.xfs"));
  return [...held, ...left];
}

function table(
  results: Map<string, { times: number; longestMs: number; violations: number }>,
  load: Load,
  seed: number,
): string {
  const rows = [...results].map(
    ([kind, { times, longestMs, violations }]) =>
      `| ${kind} | ${times} | ${violations} | ${(longestMs / 1000).toFixed(1)} s |`,
  );
  const total = [...results.values()].reduce((sum, { times }) => sum + times, 0);
  const bad = [...results.values()].reduce((sum, { violations }) => sum + violations, 0);
  return [
    "",
    "| fault | times | violations | longest until all was whole |",
    "| --- | --- | --- | --- |",
    ...rows,
    `| **all** (${load.jobs} jobs, ${load.acknowledged} acknowledged writes, seed ${seed}) | ${total} | ${bad} | |`,
    "",
  ].join("\n");
}
