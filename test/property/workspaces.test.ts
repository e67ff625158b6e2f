/**
 * Whatever is done to the files of a workspace, and whenever the server and its agent are killed: the version that an
 * acknowledged sync made holds the tree as it was then, every later version is a sound file system, and a lost node
 * loses nothing that was acknowledged. `MAGS_PROPERTY_ROUNDS` and `MAGS_PROPERTY_SEED` (printed) set the run.
 */
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createLogger, mount, mountImage, run as runCommand, unmount } from "@mags/kit";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "@mags/server";
import { fetchManifest, type ObjectStore, openObjectStore, ReflinkStore, restore } from "@mags/storage";
import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";
import { finished, run, start, until } from "../harness/workspaces.ts";
import { rounds, seed } from "./config.ts";

const logger = createLogger("silent");
const LOSE_EVERY = 40;
const ROUND_MS = 90_000;

let dir: string;
let postgres: EmbeddedPostgres;
let database: Client;
let objects: ObjectStore;
let scratch: ReflinkStore;
let daemon: Daemon;
let nodes = 0;
let programs: { changes: string; tree: string };

beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-property-");
  postgres = await startEmbeddedPostgres({ dir: join(dir, "postgres"), logger });
  objects = await openObjectStore({ kind: "directory", path: join(dir, "objects") });
  scratch = await ReflinkStore.open({ dir: join(dir, "scratch"), logger });
  programs = {
    changes: await readFile(new URL("./changes.py", import.meta.url), "utf8"),
    tree: await readFile(new URL("./tree.py", import.meta.url), "utf8"),
  };
  daemon = await newNode();
  database = new Client({ connectionString: postgres.url });
  await database.connect();
});
afterAll(async () => {
  await daemon.remove();
  await database.end();
  await scratch.close();
  await objects.close();
  await postgres.close();
  await rm(dir, { recursive: true, force: true });
});

/** Numbers from 0 to 1 that a seed makes. */
function generator(from: number): () => number {
  let state = from;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function newNode(): Promise<Daemon> {
  nodes++;
  return Daemon.start({
    DATABASE_URL: postgres.url,
    MAGS_STORE: join(dir, "objects"),
    MAGS_NODE_NAME: `node-${nodes}`,
    MAGS_POOL_MIN: "0",
  });
}

const inWorkspace = (script: string) => ({ workspace_id: "property", script, timeout: 120 });
const python = (program: string, ...args: (string | number)[]) =>
  `python3 - ${args.join(" ")} <<'END_OF_PROGRAM'\n${program}\nEND_OF_PROGRAM\n`;

async function startMachine(): Promise<string> {
  const id = await start(daemon, { ...inWorkspace("true"), persistent: true, disk_gb: 1 });
  await until(daemon, id, ({ exit_code }) => exit_code === 0, 90);
  return id;
}

async function treeInside(): Promise<string> {
  const { stdout, status, error } = await run(daemon, inWorkspace(python(programs.tree)));
  expect({ status, error }).toEqual({ status: "completed", error: null });
  return stdout.join("\n");
}

interface Version {
  number: number;
  manifest: string;
}

async function latest(): Promise<Version> {
  const { rows } = await database.query<Version>(
    "SELECT v.number, v.manifest FROM versions v JOIN workspaces w ON w.latest = v.id WHERE w.name = 'property'",
  );
  return rows[0] as Version;
}

/** The tree of a version as another machine with nothing but the object store gets it. */
async function treeOf(version: Version): Promise<string> {
  const context = { objects, org: "default" };
  const image = join(scratch.path, "restored.ext4");
  const at = (name: string) => join(dir, name);
  await restore(await fetchManifest(version.manifest, context), image, undefined, context);
  // What was deleted while something had it open is cleared by the next who mounts it: that is no damage.
  await runCommand("sh", ["-c", 'e2fsck -fp "$1" || [ $? -eq 1 ]', "sh", image]);
  await runCommand("e2fsck", ["-fn", image]);
  for (const name of ["disk", "root"]) await mkdir(at(name), { recursive: true });
  mountImage("ext4", image, at("disk"), { fresh: true });
  try {
    const lower = join(daemon.env.MAGS_IMAGE_DIR as string, "base/rootfs");
    mount("overlay", "o", at("root"), `lowerdir=${lower},upperdir=${at("disk")}/upper,workdir=${at("disk")}/work`);
    return await runCommand("chroot", [at("root"), "python3", "-"], { input: programs.tree });
  } finally {
    unmount(at("root"));
    unmount(at("disk"));
    await rm(image);
  }
}

async function killSoon(ms: number): Promise<void> {
  await delay(ms);
  await daemon.kill();
  await daemon.start();
}

/** Asks for a sync; answers the status, or 0 when the server was killed meanwhile. */
async function askForSync(machine: string): Promise<number> {
  return daemon.http("POST", `/api/v1/mags-jobs/${machine}/sync`).then(
    ({ status }) => status,
    () => 0,
  );
}

/** The machine and its disks are gone; a new one has the database and the object store. */
async function loseNode(): Promise<void> {
  await daemon.kill();
  const lost = daemon;
  daemon = await newNode();
  await lost.removeAsLost();
}

test(`${rounds} rounds of changes, syncs, kills and restores`, { timeout: 120_000 + rounds * ROUND_MS }, async () => {
  console.log(`MAGS_PROPERTY_SEED=${seed} MAGS_PROPERTY_ROUNDS=${rounds}`);
  const chance = generator(seed);
  const below = (most: number) => Math.floor(chance() * most);
  const counts = { kills: 0, syncs: 0, restores: 0, lost: 0 };
  let machine = await startMachine();
  let acknowledged: { version: Version; tree: string } | undefined;
  for (let round = 1; round <= rounds; round++) {
    const say = `seed ${seed}, round ${round}`;
    const changing = await start(daemon, inWorkspace(python(programs.changes, below(2 ** 31), 5 + below(40), 0.01)));
    if (chance() < 0.3) {
      void askForSync(machine);
      await killSoon(below(600));
      counts.kills++;
    }
    expect(await finished(daemon, changing, 120), say).toMatchObject({ status: "completed", exit_code: 0 });

    const tree = await treeInside();
    const syncing = askForSync(machine);
    if (chance() < 0.5) {
      await killSoon(below(400));
      counts.kills++;
    }
    // A node that has just been started may not have taken the machine up yet.
    if ((await syncing) !== 200)
      await expect.poll(() => askForSync(machine), { timeout: 60_000, interval: 200, message: say }).toBe(200);
    counts.syncs++;
    acknowledged = { version: await latest(), tree };
    expect(await treeOf(acknowledged.version), say).toBe(tree);
    counts.restores++;

    if (round % 20 === 0) console.log(`round ${round}: ${JSON.stringify(counts)}`);
    if (round % LOSE_EVERY === 0 || round === rounds) {
      // What comes after the acknowledged sync may be lost, or not.
      const more = await start(daemon, inWorkspace(python(programs.changes, below(2 ** 31), 10, 0.05)));
      await delay(below(1000));
      await loseNode();
      counts.lost++;
      await finished(daemon, machine, 90);
      await finished(daemon, more, 90);
      const survived = await latest();
      machine = await startMachine();
      const now = await treeInside();
      if (survived.number === acknowledged.version.number) expect(now, say).toBe(tree);
      else expect(await treeOf(survived), say).toBe(now);
    }
  }
  console.log(`seed ${seed}: ${rounds} rounds passed: ${JSON.stringify(counts)}`);
  await daemon.http("POST", `/api/v1/mags-jobs/${machine}/stop`);
  expect(await finished(daemon, machine)).toMatchObject({ status: "stopped" });
});
