/** Faults of what runs for one job. */
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

const FINAL = ["completed", "error", "stopped"];
/** A job may take this long to its end, `ms` */
const END_MS = 90_000;
/** A victim may take this long to be there, `ms` */
const VICTIM_MS = 20_000;
const POLL_MS = 50;

export async function killSandbox({ daemon }: World, random: Random): Promise<string> {
  const found = async () => (await daemon.sandboxes()).map((id) => ({ id }));
  const victim = await waitFor(found, random);
  if (!victim) return "none was there";
  await daemon.killSandbox(victim.id).catch(() => undefined);
  return `sandbox ${victim.id}`;
}

export async function killSupervisor({ daemon }: World, random: Random): Promise<string> {
  return killOne(random, (line) => line.includes("\0mags-run\0") && line.includes(daemon.dataDir));
}

/** The runtime waits for the script that it has put into a container. */
export async function killRuntime({ daemon }: World, random: Random): Promise<string> {
  return killOne(
    random,
    (line) => /^\S*crun\0/.test(line) && line.includes("\0exec\0") && line.includes(daemon.dataDir),
  );
}

export async function killQemu({ daemon }: World, random: Random): Promise<string> {
  const { instance } = daemon;
  return killOne(random, (line) => line.startsWith("qemu-system") && line.includes(`/run/mags/${instance}-vm/`));
}

export async function needMemory(world: World): Promise<string> {
  const script = "python3 -c 'x = bytearray(400_000_000)'; exit $?";
  const { status, body } = await world.ask("POST", "/api/v1/mags-jobs", {
    script,
    memory_mb: 64,
    runtime: "container",
  });
  if (status !== 202) throw new Error(`the job was refused: ${body.message}`);
  for (const deadline = Date.now() + END_MS; ; await delay(POLL_MS)) {
    const { body: job } = await world.ask("GET", `/api/v1/mags-jobs/${body.request_id}/status`);
    if (job.status === "error" && job.reason === "out_of_memory") return "ended as out_of_memory";
    if (FINAL.includes(job.status) || Date.now() > deadline)
      throw new Error(`a job without memory is ${JSON.stringify(job)}`);
  }
}

async function killOne(random: Random, isVictim: (commandLine: string) => boolean): Promise<string> {
  const found = async () => (await commandLines()).filter(({ line }) => isVictim(line));
  const victim = await waitFor(found, random);
  if (!victim) return "none was there";
  try {
    process.kill(victim.pid, "SIGKILL");
  } catch {
    return "it was just ending";
  }
  return `process ${victim.pid}`;
}

async function waitFor<T>(find: () => Promise<T[]>, random: Random): Promise<T | undefined> {
  for (const deadline = Date.now() + VICTIM_MS; Date.now() < deadline; await delay(POLL_MS)) {
    const found = await find();
    if (found.length > 0) return random.pick(found);
  }
  return undefined;
}

async function commandLines(): Promise<{ pid: number; line: string }[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  return Promise.all(
    pids.map(async (pid) => ({
      pid: Number(pid),
      line: await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""),
    })),
  );
}
