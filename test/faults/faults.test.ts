/**
 * Things go wrong at random moments under load, and after each round of them everything that was promised must hold. The order
 * and the moments follow from a seed, which is printed. `npm run test:faults` is the long form.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { untilEmpty } from "../harness/daemon.ts";
import { faults, mostMs, only, seed } from "./config.ts";
import { type Kind, Rounds } from "./kinds.ts";
import { Load } from "./load.ts";
import { Random } from "./random.ts";
import { Results } from "./results.ts";
import { World } from "./world.ts";

/** Descriptors of connections that come and go, right after a round and when all is at rest; a leak is more than that. */
const [FDS_BUSY, FDS_ALLOWED] = [100, 40];
const REST_MS = 60_000;
const RSS_ALLOWED_MB = 250;
/** How long a node may not answer after its disk was slow, `ms`. */
const SILENT_MS = 120_000;
/** For a fault, by the clock of a busy machine. */
const FAULT_MS = 240_000;
/** Most faults of a round. */
const MOST = 3;
/** Share of the loads that have a virtual machine, where no fault needs one: under emulation it is much work. */
const VMS = 0.15;

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
    const rounds = new Rounds(random, only);
    const results = new Results();
    const violations: string[] = [];
    say(`fault suite: ${faults} faults, MAGS_FAULTS_SEED=${seed}`);
    // As much at once as in a round: what is kept for the next time is no leak.
    await Promise.all([load.begin(true), load.begin(false), load.begin(false)]);
    expect(await whole(load)).toEqual([]);
    const before = await world.held();
    const end = performance.now() + mostMs;
    while (results.faults < faults && performance.now() < end) {
      const round = await strike(rounds.next(Math.min(MOST, faults - results.faults)), load, random);
      const { fds } = await world.held();
      if (fds - before.fds >= FDS_BUSY)
        round.found.push(`${fds} descriptors, ${before.fds} before:\n${(await world.descriptors()).join("\n")}`);
      for (const kind of round.struck) results.add(kind, round.ms, round.found.length);
      violations.push(...round.found.map((violation) => `${round.said}: ${violation}`));
      say(
        `${results.faults} ${round.said}; whole after ${round.ms} ms${round.found.map((v) => `\n  ! ${v}`).join("")}`,
      );
    }
    violations.push(...(await load.everything()));
    const leak = async () => ((await world.held()).fds - before.fds < FDS_ALLOWED ? [] : await world.descriptors());
    await untilEmpty(leak, REST_MS);
    const after = await world.held();
    say(results.table(`${load.jobs} jobs, ${load.acknowledged} acknowledged writes, seed ${seed}`));
    say(`descriptors ${before.fds} → ${after.fds}, memory ${before.rssMb} → ${after.rssMb} MB`);
    expect(violations).toEqual([]);
    expect(after.rssMb - before.rssMb).toBeLessThan(RSS_ALLOWED_MB);
  },
  60_000 + faults * FAULT_MS,
);

/** Answers what was struck, and what of it is not made good. */
async function strike(kinds: Kind[], load: Load, random: Random) {
  const struck: Kind[] = [];
  const hits: string[] = [];
  const work: Promise<void>[] = [];
  let since = performance.now();
  let found: string[];
  try {
    for (const kind of kinds) {
      const begun = load.begin(kind.name.includes("QEMU") || random.next() < VMS);
      begun.catch(() => undefined);
      work.push(begun);
      await delay(random.between(0, 800));
      const hit = await kind.strike(world, random);
      hits.push(`${kind.name}: ${hit}`);
      if (!/^(none|not) /.test(hit)) struck.push(kind);
    }
    since = performance.now();
    await Promise.all(work);
    found = await whole(load);
  } catch (error) {
    found = [(error as Error).message];
    struck.push(...kinds.slice(hits.length));
  }
  return { struck, said: hits.join(" + "), found, ms: Math.round(performance.now() - since) };
}

/** Waits until everything has ended; answers what is not as it must be. */
async function whole(load: Load): Promise<string[]> {
  await load.settle();
  const found = await load.violations();
  const left = await untilEmpty(leftovers, 60_000).then(
    () => [],
    (error: Error) => [error.message],
  );
  return [...found, ...left, ...(await disagreements())];
}

/** A disk that was slow may hold up the node's answer for a while after that, and what could not be looked at proves nothing. */
async function disagreements(): Promise<string[]> {
  for (const deadline = performance.now() + SILENT_MS; ; ) {
    const { differences } = (await world.ask("GET", "/api/v1/mags-fsck")).body;
    const silent = differences.some(({ kind }: { kind: string }) => kind === "node_silent");
    if (!silent || performance.now() > deadline)
      return differences.map((each: object) => `fsck: ${JSON.stringify(each)}`);
  }
}

/** On the machine, and in the rows that say who holds what. */
async function leftovers(): Promise<string[]> {
  const { body } = await world.ask("GET", "/api/v1/nodes");
  const held = body.nodes
    .filter((node: { jobs: number; dirty_workspaces: number }) => node.jobs > 0 || node.dirty_workspaces > 0)
    .map((node: object) => `still held: ${JSON.stringify(node)}`);
  if (held.length > 0) held.push(JSON.stringify((await world.ask("GET", "/api/v1/mags-workspaces")).body));
  // What all virtual machines boot from is mounted for as long as the daemon runs.
  return [...held, ...(await world.daemon.leftovers()).filter((line) => !line.includes("-vm/shown/"))];
}

const say = (line: string) => process.stdout.write(`${line}\n`);
