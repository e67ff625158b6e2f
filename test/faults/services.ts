/** Faults of what all jobs share. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { databaseStopMs } from "./config.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** Until both have noticed, and the sweep of leases has, `ms` */
const CLOCK_MS = 3000;

export async function killDaemon({ daemon }: World, random: Random): Promise<string> {
  await daemon.kill();
  const away = random.between(0, 1500);
  await delay(away);
  await daemon.start();
  return `away for ${Math.round(away)} ms`;
}

export async function killPostgres(world: World): Promise<string> {
  const pid = await postmaster(world);
  process.kill(pid, "SIGKILL");
  return `process ${pid}`;
}

export async function stopPostgres(world: World): Promise<string> {
  const pid = await postmaster(world);
  const pids = [pid, ...(await childrenOf(pid))];
  for (const one of pids) signal(one, "SIGSTOP");
  try {
    await delay(databaseStopMs);
  } finally {
    for (const one of [...pids, ...(await childrenOf(pid))]) signal(one, "SIGCONT");
  }
  return `for ${databaseStopMs} ms`;
}

export async function killStore({ s3 }: World, random: Random): Promise<string> {
  await s3.kill();
  const away = random.between(500, 3000);
  await delay(away);
  await s3.restart();
  return `away for ${Math.round(away)} ms`;
}

export async function hangStore({ s3 }: World, random: Random): Promise<string> {
  s3.pause();
  const away = random.between(500, 3000);
  await delay(away);
  s3.resume();
  return `for ${Math.round(away)} ms`;
}

export async function killBoth({ daemon, s3 }: World, random: Random): Promise<string> {
  await s3.kill();
  await delay(random.between(0, 1000));
  await daemon.kill();
  await s3.restart();
  await daemon.start();
  return "back together";
}

/** Of the server and of PostgreSQL at once, as on one machine. More than a lease, and less than S3's signatures allow. */
export async function setClock(world: World, random: Random): Promise<string> {
  const offset = Math.round(random.between(-400, 400));
  await world.setClock(offset);
  await delay(CLOCK_MS);
  return `to ${offset} s off`;
}

/** Its process is there a moment later when it has just been started again. */
async function postmaster({ daemon }: World): Promise<number> {
  for (;;) {
    const text = await readFile(join(daemon.dataDir, "postgres/data/postmaster.pid"), "utf8").catch(() => "");
    const pid = Number(text.split("\n")[0]);
    if (pid > 0) return pid;
    await delay(50);
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return text.split(" ").filter(Boolean).map(Number);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // gone already
  }
}
