import { readdir, readFile, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { run } from "@mags/kit";
import { databaseStopMs } from "./config.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** Until both have noticed, and the sweep of leases has, `ms` */
const CLOCK_MS = 3000;

/** Something goes wrong; what it says is what was hit. It is over when this resolves. */
type Fault = (world: World, random: Random) => Promise<string>;

/** Every kind, by the name that the result table has. */
export const faultKinds: Record<string, Fault> = {
  "kill -9 of the server and agent": killDaemon,
  "kill -9 of PostgreSQL": killPostgres,
  "PostgreSQL stopped": stopPostgres,
  "kill -9 of a sandbox's first process": killSandbox,
  "kill -9 of the shell above a script": killSupervisor,
  "object store killed": killStore,
  "object store hangs": hangStore,
  "disk full": fillDisk,
  "disk stalls": stallDisk,
  "a script needs more memory than it has": needMemory,
  "server and agent killed, object store away": killBoth,
  "wall clock set": setClock,
};

async function killDaemon({ daemon }: World, random: Random): Promise<string> {
  await daemon.kill();
  const away = random.between(0, 1500);
  await delay(away);
  await daemon.start();
  return `away for ${Math.round(away)} ms`;
}

async function killPostgres(world: World): Promise<string> {
  const pid = await postmaster(world);
  process.kill(pid, "SIGKILL");
  return `process ${pid}`;
}

async function stopPostgres(world: World): Promise<string> {
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

async function killSandbox({ daemon }: World, random: Random): Promise<string> {
  const sandboxes = await daemon.sandboxes();
  if (sandboxes.length === 0) return "none was there";
  const id = random.pick(sandboxes);
  await daemon.killSandbox(id).catch(() => undefined);
  return `sandbox ${id}`;
}

async function killSupervisor({ daemon }: World, random: Random): Promise<string> {
  const found = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (line.includes("\0mags-run\0") && line.includes(daemon.dataDir)) found.push(Number(pid));
  }
  if (found.length === 0) return "none was there";
  const pid = random.pick(found);
  signal(pid, "SIGKILL");
  return `process ${pid}`;
}

async function killStore({ s3 }: World, random: Random): Promise<string> {
  await s3.kill();
  const away = random.between(500, 4000);
  await delay(away);
  await s3.restart();
  return `away for ${Math.round(away)} ms`;
}

async function hangStore({ s3 }: World, random: Random): Promise<string> {
  s3.pause();
  const away = random.between(500, 4000);
  await delay(away);
  s3.resume();
  return `for ${Math.round(away)} ms`;
}

async function fillDisk({ disk }: World, random: Random): Promise<string> {
  const filler = join(disk, "filler");
  const { bavail, bsize } = await statfs(disk);
  // Some is written meanwhile: what does not fit any more is what this is for.
  await run("fallocate", ["-l", String(Math.max(1, bavail - 16) * bsize), filler]).catch(() => undefined);
  const full = random.between(500, 3000);
  await delay(full);
  await rm(filler, { force: true });
  return `for ${Math.round(full)} ms`;
}

/** The file system of the volumes is frozen: whoever writes to it waits. */
async function stallDisk({ daemon }: World, random: Random): Promise<string> {
  const mounts = await readFile(`/proc/${daemon.pid}/mountinfo`, "utf8");
  const line = mounts.split("\n").find((one) => one.includes(daemon.dataDir) && / - xfs /.test(one));
  const path = line?.split(" ")[4];
  if (!path) return "the volumes have no file system of their own here";
  const inside = ["--mount", "--target", String(daemon.pid), "fsfreeze"];
  await run("nsenter", [...inside, "--freeze", path]);
  const stalled = random.between(500, 3000);
  await delay(stalled);
  await run("nsenter", [...inside, "--unfreeze", path]);
  return `for ${Math.round(stalled)} ms`;
}

async function needMemory(world: World): Promise<string> {
  const script = "python3 -c 'x = bytearray(400_000_000)'; exit $?";
  const { status, body } = await world.ask("POST", "/api/v1/mags-jobs", { script, memory_mb: 64 });
  if (status !== 202) throw new Error(`the job was refused: ${body.message}`);
  for (let waited = 0; ; waited += 100) {
    const { body: job } = await world.ask("GET", `/api/v1/mags-jobs/${body.request_id}/status`);
    if (job.status === "error" && job.reason === "out_of_memory") return "ended as out_of_memory";
    if (["completed", "error", "stopped"].includes(job.status) || waited > 60_000)
      throw new Error(`a job without memory is ${JSON.stringify(job)}`);
    await delay(100);
  }
}

async function killBoth({ daemon, s3 }: World, random: Random): Promise<string> {
  await s3.kill();
  await delay(random.between(0, 1000));
  await daemon.kill();
  await s3.restart();
  await daemon.start();
  return "back together";
}

/** Of the server and of PostgreSQL at once, as on one machine. More than a lease, and less than S3's signatures allow. */
async function setClock(world: World, random: Random): Promise<string> {
  const offset = Math.round(random.between(-400, 400));
  await world.setClock(offset);
  await delay(CLOCK_MS);
  return `to ${offset} s off`;
}

async function postmaster({ daemon }: World): Promise<number> {
  const text = await readFile(join(daemon.dataDir, "postgres/data/postmaster.pid"), "utf8");
  return Number(text.split("\n")[0]);
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
