import { randomBytes } from "node:crypto";
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import { Cleanup, createLogger, MS_NOATIME, mountImage, run, unmount } from "@mags/kit";
import { ReflinkStore, Templates } from "@mags/storage";
import { type Backup, coldCaches, restic, type Subject, tarZstd, versions } from "./backups.ts";
import { quantile, type Summary, summarise } from "./stats.ts";

const MiB = 1024 ** 2;
/** 1 GiB of files: three quarters that do not compress, as in packages and media, and one that does, as in sources. */
const FILES = 2048;
const FILE_BYTES = MiB / 2;
const FILES_IN_DIRECTORY = 64;
const CHANGED_FILES = Math.round(FILES / 100);
const FORKS = 20;

export interface Report {
  results: Record<string, Summary>;
  ratios: Record<string, number>;
  aims: Record<string, number>;
}

/**
 * A workspace of 1 GiB beside restic and `tar | zstd`, in turns over the same files on the same disk: keeping it the first
 * time, after 1 % has changed, when nothing has, and bringing it back with cold caches; and what forks and freezing cost.
 */
export async function benchWorkspaces(rounds: number): Promise<Report> {
  const cleanup = new Cleanup();
  try {
    const subject = await prepare(cleanup);
    const mags = await versions(subject);
    const others = await Promise.all([restic(subject), tarZstd(subject)]);
    return await measure(subject, mags, [mags, ...others], rounds);
  } finally {
    await cleanup.run();
  }
}

async function measure(
  subject: Subject,
  mags: Awaited<ReturnType<typeof versions>>,
  all: Backup[],
  rounds: number,
): Promise<Report> {
  const times = new Map<string, number[]>();
  const note = async (what: string, work: () => Promise<unknown>) => {
    const started = performance.now();
    await work();
    times.set(what, [...(times.get(what) ?? []), performance.now() - started]);
  };
  for (const { name, keep } of all) await note(`first, ${name}`, keep);
  for (let round = 0; round < rounds; round++) {
    await change(subject.files, round);
    for (const { name, keep } of all) await note(`1 % changed, ${name}`, keep);
    await note("nothing changed, mags", async () => {
      if (!(await mags.unchanged())) throw new Error("something has changed that nobody has written");
    });
    await note("nothing changed, restic", () => (all[1] as Backup).keep());
  }
  for (let round = 0; round < Math.min(3, rounds); round++) {
    for (const { name, bringBack } of all) {
      await coldCaches();
      await note(`cold restore, ${name}`, bringBack);
    }
  }
  times.set("fork of 1 GiB", forks(subject, subject.volume));
  times.set("fork of 16 MiB", forks(subject, await smallVolume(subject)));
  times.set("frozen", mags.frozenMs);
  times.set("longest wait of a writer", await stalls(subject, mags, rounds));
  return summary(times);
}

function summary(times: Map<string, number[]>): Report {
  const p50 = (name: string) => quantile(times.get(name) ?? [], 0.5);
  const ratio = (what: string, other: string) => p50(`${what}, mags`) / p50(`${what}, ${other}`);
  const ratios = {
    "1 % changed, mags / restic": ratio("1 % changed", "restic"),
    "1 % changed, mags / tar | zstd": ratio("1 % changed", "tar | zstd"),
    "cold restore, mags / restic": ratio("cold restore", "restic"),
    "cold restore, mags / tar | zstd": ratio("cold restore", "tar | zstd"),
    "fork of 1 GiB, ms": p50("fork of 1 GiB"),
    "fork, 1 GiB / 16 MiB": p50("fork of 1 GiB") / p50("fork of 16 MiB"),
    "nothing changed, ms": p50("nothing changed, mags"),
  };
  const aims = {
    "1 % changed, mags / restic": 0.2,
    "cold restore, mags / restic": 0.7,
    "fork of 1 GiB, ms": 20,
    "nothing changed, ms": 30,
  };
  return { results: Object.fromEntries([...times].map(([name, list]) => [name, summarise(list)])), ratios, aims };
}

async function prepare(cleanup: Cleanup): Promise<Subject> {
  const dir = await mkdtemp("/var/tmp/mags-bench-");
  cleanup.add("directory", () => rm(dir, { recursive: true, force: true }));
  const store = await ReflinkStore.open({ dir: join(dir, "store"), logger: createLogger("silent") });
  cleanup.add("store", () => store.close());
  const volume = join(store.path, "live.ext4");
  await new Templates(store).create(volume, 4, "journaled");
  const mountedAt = join(dir, "mnt");
  await mkdir(mountedAt);
  // As the agent mounts it: reading writes nothing.
  mountImage("ext4", volume, mountedAt, { flags: MS_NOATIME });
  cleanup.add("mount", () => unmount(mountedAt));
  const files = join(mountedAt, "upper");
  for (let number = 0; number < FILES; number++) await writeOne(files, number);
  await run("sync", ["-f", mountedAt]);
  return { store, volume, mountedAt, files, dir };
}

async function writeOne(files: string, number: number): Promise<void> {
  const dir = join(files, String(Math.floor(number / FILES_IN_DIRECTORY)));
  await mkdir(dir, { recursive: true });
  const random = randomBytes(FILE_BYTES);
  const content =
    number % 4 === 0
      ? random
          .subarray(0, FILE_BYTES / 8)
          .toString("hex")
          .repeat(4)
      : random;
  await writeFile(join(dir, `file-${number}`), content);
}

async function change(files: string, round: number): Promise<void> {
  for (let index = 0; index < CHANGED_FILES; index++) await writeOne(files, (index * 97 + round * 13) % FILES);
}

function forks({ store, dir }: Subject, volume: string): number[] {
  return Array.from({ length: FORKS }, (_, number) => {
    const started = performance.now();
    store.clone(volume, join(store.path, `fork-${volume.length}-${number}-${dir.length}`));
    return performance.now() - started;
  });
}

async function smallVolume({ store, dir }: Subject): Promise<string> {
  const [volume, target] = [join(store.path, "small.ext4"), join(dir, "small")];
  await new Templates(store).create(volume, 4, "journaled");
  await mkdir(target);
  mountImage("ext4", volume, target);
  try {
    for (let number = 0; number < 32; number++) await writeOne(join(target, "upper"), number);
  } finally {
    unmount(target);
  }
  await run("sync", ["-f", store.path]);
  return volume;
}

/** The longest time that one small durable write took while a version was kept, for each of some rounds. */
async function stalls({ files }: Subject, mags: Backup, rounds: number): Promise<number[]> {
  const fd = openSync(join(files, "written"), "w");
  const longest: number[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      await change(files, round);
      const keeping = { done: false };
      const kept = mags.keep().finally(() => {
        keeping.done = true;
      });
      let most = 0;
      while (!keeping.done) {
        const started = performance.now();
        writeSync(fd, "x");
        fdatasyncSync(fd);
        most = Math.max(most, performance.now() - started);
        await breathe();
      }
      await kept;
      longest.push(most);
    }
  } finally {
    closeSync(fd);
  }
  return longest;
}
