import { setTimeout as delay } from "node:timers/promises";
import type { Mags } from "@mags/sdk";
import { config } from "./config.ts";
import { type Summary, summarise } from "./stats.ts";
import { timed } from "./turns.ts";

/** Share of what the nodes offer that is kept in use. */
const CAPACITY = 0.8;
/** How often the daemon is looked at, `ms` */
const LOOK_MS = 5000;
/** What the daemon takes in its first minutes is no growth: this share of the time does not count. */
const WARM_UP = 0.25;
/** How long a lane waits before it goes on after a failure, `ms` */
const PAUSE_MS = 500;

interface Look {
  minute: number;
  rssMb: number;
  fds: number;
}

export interface SoakReport {
  minutes: number;
  /** how often each kind of work was done, and how long it took, `ms` */
  work: Record<string, Summary>;
  failures: string[];
  looks: Look[];
  /** least squares over the looks after the warm-up */
  growth: { rssMbPerHour: number; fdsPerHour: number };
}

type Work = (mags: Mags, lane: number) => Promise<void>;

/** What a lane does, in turns; each takes one machine of the usual size. */
const work: Record<string, Work> = {
  "short job": async (mags) => expectEnd(mags, "sleep 0.2"),
  "busy job": async (mags) => expectEnd(mags, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"),
  "job that prints 5,000 lines": async (mags) => expectEnd(mags, "seq 5000"),
  "writer of a workspace": async (mags, lane) =>
    expectEnd(mags, "date >>/root/dates; head -c 1000000 /dev/urandom >/root/noise", { workspaceId: `soak-${lane}` }),
  "machine with exec and sync": useMachine,
};

/** Keeps the nodes at 80 % of what they offer with mixed work, and watches the daemon's memory and descriptors. */
export async function soak(mags: Mags, minutes: number): Promise<SoakReport> {
  const end = performance.now() + minutes * 60_000;
  const times = new Map<string, number[]>(Object.keys(work).map((kind) => [kind, []]));
  const failures: string[] = [];
  const lanes = Array.from({ length: await lanesFor(mags) }, (_, lane) => run(mags, lane, end, times, failures));
  process.stderr.write(`${lanes.length} machines at once for ${minutes} min\n`);
  const looks = await watch(minutes, end);
  await Promise.all(lanes);
  for (let lane = 0; lane < lanes.length; lane++) await mags.workspaces.delete(`soak-${lane}`).catch(() => undefined);
  const settled = looks.slice(Math.floor(looks.length * WARM_UP));
  return {
    minutes,
    work: Object.fromEntries([...times].map(([kind, list]) => [kind, summarise(list)])),
    failures,
    looks,
    growth: {
      rssMbPerHour: slope(settled.map(({ minute, rssMb }) => [minute / 60, rssMb])),
      fdsPerHour: slope(settled.map(({ minute, fds }) => [minute / 60, fds])),
    },
  };
}

export function printSoak({ work: done, failures, growth }: SoakReport): void {
  for (const [kind, { runs, p50, p99 }] of Object.entries(done))
    process.stdout.write(
      `${kind.padEnd(30)}${String(runs).padStart(7)} times  p50 ${p50.toFixed(0)} ms  p99 ${p99.toFixed(0)} ms\n`,
    );
  process.stdout.write(
    `memory ${growth.rssMbPerHour.toFixed(1)} MB an hour, descriptors ${growth.fdsPerHour.toFixed(1)} an hour, after the warm-up\n`,
  );
  process.stdout.write(
    `${failures.length} failures\n${failures
      .slice(0, 20)
      .map((line) => `  ${line}\n`)
      .join("")}`,
  );
}

async function lanesFor(mags: Mags): Promise<number> {
  const { nodes } = await mags.nodes.list();
  const offered = nodes
    .filter(({ state }) => state === "ready")
    .map((node) => Math.min(node.vcpus, node.memory_mb / 512));
  return Math.max(1, Math.floor(CAPACITY * offered.reduce((sum, machines) => sum + machines, 0)));
}

async function run(mags: Mags, lane: number, end: number, times: Map<string, number[]>, failures: string[]) {
  const kinds = Object.entries(work);
  for (let turn = lane; performance.now() < end; turn++) {
    const [kind, once] = kinds[turn % kinds.length] as [string, Work];
    try {
      times.get(kind)?.push(await timed(() => once(mags, lane)));
    } catch (error) {
      failures.push(`${kind}: ${(error as Error).message}`);
      await delay(PAUSE_MS);
    }
  }
}

async function expectEnd(mags: Mags, script: string, options: { workspaceId?: string } = {}): Promise<void> {
  const { requestId } = await mags.run(script, options);
  const { status, exit_code, error } = await mags.wait(requestId);
  if (status !== "completed" || exit_code !== 0) throw new Error(`ended as ${status}, ${exit_code}: ${error}`);
}

async function useMachine(mags: Mags, lane: number): Promise<void> {
  const { requestId } = await mags.run("true", { persistent: true, workspaceId: `soak-${lane}` });
  try {
    for (let time = 0; time < 5; time++) {
      const { exitCode, stderr } = await mags.exec(requestId, "date >>/root/dates && cat /root/dates | wc -l");
      if (exitCode !== 0) throw new Error(`exec ended with ${exitCode}: ${stderr}`);
    }
    await mags.sync(requestId);
  } finally {
    await mags.stop(requestId);
    await mags.wait(requestId);
  }
}

async function watch(minutes: number, end: number): Promise<Look[]> {
  const begin = end - minutes * 60_000;
  const looks: Look[] = [];
  let told = -1;
  while (performance.now() < end) {
    await delay(Math.min(LOOK_MS, Math.max(0, end - performance.now())));
    const look = { minute: (performance.now() - begin) / 60_000, ...(await ofDaemon()) };
    looks.push(look);
    if (Math.floor(look.minute) === told) continue;
    told = Math.floor(look.minute);
    process.stderr.write(`${look.minute.toFixed(1)} min: ${look.rssMb.toFixed(0)} MB, ${look.fds} descriptors\n`);
  }
  return looks;
}

/** From the daemon's own metrics, which need a token with the scope operator. */
async function ofDaemon(): Promise<{ rssMb: number; fds: number }> {
  const response = await fetch(`${config.apiUrl}/metrics`, { headers: { authorization: `Bearer ${config.apiToken}` } });
  const text = await response.text();
  const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
  return { rssMb: value("process_resident_memory_bytes") / 1024 ** 2, fds: value("process_open_fds") };
}

/** Least squares. */
function slope(points: [number, number][]): number {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map(([at]) => at)), mean(points.map(([, value]) => value))];
  const above = points.reduce((sum, [at, value]) => sum + (at - x) * (value - y), 0);
  return above / points.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
}
