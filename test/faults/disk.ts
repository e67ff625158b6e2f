/** Faults of the disk that volumes, logs and PostgreSQL share. */
import { access, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { run } from "@mags/kit";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** Writes a second of a slow disk; a commit of PostgreSQL takes one or two. */
const SLOW_WRITES = 20;
const THROTTLE = "/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device";

export async function fill({ disk }: World, random: Random): Promise<string> {
  const { bavail, bsize } = await statfs(disk);
  // A file system keeps some for itself, so the last bit is found by halves; what does not fit any more is what this is for.
  const fillers: string[] = [];
  for (let bytes = bavail * bsize; bytes > 64 * 1024; bytes = Math.floor(bytes / 2)) {
    const filler = join(disk, `filler-${fillers.length}`);
    fillers.push(filler);
    await run("fallocate", ["-l", String(bytes), filler]).catch(() => rm(filler, { force: true }));
  }
  const full = random.between(500, 2500);
  await delay(full);
  for (const filler of fillers) await rm(filler, { force: true });
  return `for ${Math.round(full)} ms`;
}

/** It is frozen: whoever writes to it waits. */
export async function stall({ disk }: World, random: Random): Promise<string> {
  await run("fsfreeze", ["--freeze", disk]);
  const stalled = random.between(500, 2500);
  await delay(stalled);
  await run("fsfreeze", ["--unfreeze", disk]);
  return `for ${Math.round(stalled)} ms`;
}

/** The kernel lets few writes through to its device, which no other program uses. */
export async function slow({ device }: World, random: Random): Promise<string> {
  const possible = await access(THROTTLE).then(
    () => true,
    () => false,
  );
  if (!possible) return "not possible here: the kernel has no blkio controller of cgroup v1";
  const time = random.between(1500, 3500);
  await writeFile(THROTTLE, `${device} ${SLOW_WRITES}`);
  try {
    await delay(time);
  } finally {
    await writeFile(THROTTLE, `${device} 0`);
  }
  return `${SLOW_WRITES} writes a second for ${Math.round(time)} ms`;
}
