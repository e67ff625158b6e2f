/** When what was put away of a machine may go on, and that it never does so on another disk. */
import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createLogger } from "@mags/kit";
import type { Assignment } from "@mags/protocol";
import { ReflinkStore } from "@mags/storage";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Pool } from "../pool/pool.ts";
import type { Wanted } from "../pool/shelf.ts";
import type { Sandbox } from "../sandbox/driver.ts";
import { resume } from "./resume.ts";
import { SuspendedMachines } from "./suspended.ts";

const logger = createLogger("silent");
const [id, version] = [randomUUID(), { id: randomUUID(), number: 3 }];
let dir: string;
let store: ReflinkStore;
let live: string;
let machines: SuspendedMachines;
beforeEach(async () => {
  dir = await mkdtemp("/tmp/mags-suspended-");
  store = await ReflinkStore.open({ dir: join(dir, "store"), logger, firstBytes: 400 * 1024 ** 2 });
  live = join(store.path, "live");
  machines = new SuspendedMachines(store, logger);
});
afterEach(async () => {
  await store.close();
  await rm(dir, { recursive: true, force: true });
});

/** The job in its life after so many wakes, on a workspace of which this is the last version. */
const job = (wakes: number, last: { id: string } | null = version) =>
  ({
    id,
    spec: { sleep: "suspend", memory_mb: 1 },
    wake: wakes === 0 ? null : { count: wakes, because: "test" },
    volume: { version: last },
  }) as unknown as Assignment;

const sandbox = (suspend = (to: string) => writeFile(join(to, "state"), "memory")) => ({ suspend }) as Partial<Sandbox>;

async function fallAsleep(wakes = 0): Promise<void> {
  await writeFile(live, "as it fell asleep");
  await machines.put(job(wakes), sandbox() as Sandbox, live);
  machines.seal(job(wakes), version as never);
}

interface Wake {
  wakes?: number;
  last?: { id: string } | null;
  untouched?: boolean;
  broken?: boolean;
}

/** Wakes the job on a disk of another content but the same size; answers what it said, and on what it went on. */
async function wake({ wakes = 1, last = version, untouched = true, broken = false }: Wake = {}) {
  const said: string[] = [];
  let on: string | undefined;
  const driver = {
    resume: async ({ from, kept }: { from: string; kept: string }) => {
      expect(await readFile(join(from, "state"), "utf8")).toBe("memory");
      on = await readFile(kept, "utf8");
      if (!broken) return {};
      await writeFile(kept, "written meanwhile");
      throw new Error("it is broken");
    },
  };
  const owner = { assignment: job(wakes, last), log: (line: string) => said.push(line) };
  const context = { suspended: machines, pool: { adopted: () => undefined } as unknown as Pool };
  const found = await resume(context, owner, { driver } as unknown as Wanted, { live, workspace: { untouched } });
  return { said: said.join(), on, resumed: found !== undefined, disk: await readFile(live, "utf8") };
}

test("a machine goes on with the next wake, on its own disk, also after a restart of the agent", async () => {
  await fallAsleep(4);
  await writeFile(live, "of the version");
  machines = new SuspendedMachines(store, logger);
  expect(machines.list()).toEqual([{ id, wakes: 4 }]);
  await writeFile(live, "of its version...");
  const asleep = "as it fell asleep";
  expect(await wake({ wakes: 5 })).toMatchObject({ resumed: true, on: asleep, disk: asleep });
  // Killed before it was let go: once more.
  await writeFile(live, "written meanwhile");
  machines = new SuspendedMachines(store, logger);
  expect(await wake({ wakes: 5, untouched: false })).toMatchObject({ resumed: true, on: asleep });
  machines.remove(id);
  expect(await wake({ wakes: 5 })).toMatchObject({
    resumed: false,
    said: expect.stringContaining("has nothing of them"),
  });
});

test.each<[string, Wake, string]>([
  ["of a workspace with another version", { last: { id: randomUUID() } }, "its workspace has changed since"],
  ["of a workspace without a version", { last: null }, "its workspace has changed since"],
  ["of a workspace with something that is not durable", { untouched: false }, "its workspace has changed since"],
  ["that woke elsewhere meanwhile", { wakes: 2 }, "it has been awake since"],
])("a machine %s does not go on, its disk stays as it is, and nothing is left", async (_, how, why) => {
  await fallAsleep();
  await writeFile(live, "newer than that!!");
  const { said, ...became } = await wake(how);
  expect(became).toEqual({ resumed: false, on: undefined, disk: "newer than that!!" });
  expect(said).toBe(`its processes cannot go on, the machine starts anew: ${why}`);
  expect([machines.list(), await readdir(join(store.path, "suspended"))]).toEqual([[], []]);
});

test("a machine whose disk has another size, or was not durable, does not go on", async () => {
  await fallAsleep();
  await writeFile(live, "larger by now, and by far");
  expect((await wake()).said).toContain("another size");
  await writeFile(live, "as it fell asleep");
  await machines.put(job(0), sandbox() as Sandbox, live);
  expect((await wake()).said).toContain("has nothing of them");
  await machines.put(job(0), sandbox() as Sandbox, live);
  machines.seal(job(0), null);
  expect([machines.list(), await readdir(join(store.path, "suspended"))]).toEqual([[], []]);
});

test("what a machine has written that does not come up is taken back", async () => {
  await fallAsleep();
  await writeFile(live, "of its version...");
  expect(await wake({ broken: true })).toMatchObject({ resumed: false, disk: "as it fell asleep" });
  expect(machines.list()).toEqual([]);
});

test("of a machine that cannot be put away, or whose agent was killed meanwhile, nothing is left, nor of the time before", async () => {
  await fallAsleep();
  const failing = sandbox(async (to) => {
    await writeFile(join(to, "state"), "half of it");
    throw new Error("no space left");
  });
  await expect(machines.put(job(1), failing as Sandbox, live)).rejects.toThrow("no space left");
  expect([machines.list(), await readdir(join(store.path, "suspended"))]).toEqual([[], []]);
  await fallAsleep();
  const killed = sandbox(() => new Promise(() => undefined));
  void machines.put(job(1), killed as Sandbox, live);
  const all = () => readdir(join(store.path, "suspended"));
  await expect.poll(all).toEqual([`making-${id}`]);
  machines = new SuspendedMachines(store, logger);
  expect([machines.list(), await all()]).toEqual([[], []]);
});

test("a machine for whose memory there is no room is not put away, and goes on until it is ended", async () => {
  const never = sandbox(() => Promise.reject(new Error("it was asked to")));
  const large = { ...job(0), spec: { sleep: "suspend", memory_mb: 1e9 } } as unknown as Assignment;
  await expect(machines.put(large, never as Sandbox, live)).rejects.toThrow("almost full");
});

test("what the server has no use for is removed", async () => {
  await fallAsleep();
  machines.forget([randomUUID()]);
  expect(machines.list()).toHaveLength(1);
  machines.forget([id]);
  expect([machines.list(), await readdir(join(store.path, "suspended"))]).toEqual([[], []]);
});
