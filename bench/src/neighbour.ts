import type { Mags } from "@mags/sdk";
import { summarise } from "./stats.ts";
import { timed } from "./turns.ts";
import type { Report } from "./workspaces.ts";

/** Scripts that take all they can get, for as long as they are let. */
const HOGS: Record<string, string> = {
  cpu: "for n in $(seq 16); do (while :; do :; done) & done; wait",
  memory: `while :; do python3 -c "x = bytearray(10**10)"; done 2>/dev/null`,
  disk: "while :; do dd if=/dev/zero of=/root/x bs=1M count=200 conv=fsync; rm /root/x; done 2>/dev/null",
  log: "yes 'a line of a log that goes on and on'",
  forks: "while :; do for n in $(seq 200); do /bin/true & done; wait; done",
};
/** at a time */
const COPIES = 2;
const HOG_SECONDS = 600;

const SHARE = `import time
end = time.monotonic() + 1
while time.monotonic() < end: pass
print(time.process_time())`;

/** What a quiet sandbox gets, alone and beside two hogs of each kind: latency of an exec and of a whole job, and its share of a CPU. */
export async function benchNeighbour(mags: Mags, runs: number): Promise<Report> {
  const { requestId } = await mags.run("true", { persistent: true, noSleep: true, vcpus: 1, memoryMb: 256 });
  try {
    await mags.wait(requestId);
    const results: Report["results"] = {};
    const ratios: Report["ratios"] = {};
    const alone = await measure(mags, requestId, runs);
    for (const [what, times] of Object.entries(alone)) results[`${what} alone`] = summarise(times);
    for (const [kind, script] of Object.entries(HOGS)) {
      const beside = await besides(mags, script, () => measure(mags, requestId, runs));
      for (const [what, times] of Object.entries(beside)) {
        results[`${what} beside ${kind}`] = summarise(times);
        ratios[`${what} beside ${kind} / alone`] = middle(times) / middle(alone[what as keyof typeof alone]);
      }
    }
    return { results, ratios, aims: {} };
  } finally {
    await mags.stop(requestId);
  }
}

async function besides<T>(mags: Mags, script: string, action: () => Promise<T>): Promise<T> {
  const hogs = await Promise.all(
    Array.from({ length: COPIES }, () => mags.run(script, { vcpus: 1, memoryMb: 256, timeout: HOG_SECONDS })),
  );
  try {
    for (const { requestId } of hogs) while ((await mags.status(requestId)).status !== "running") await pause(100);
    await pause(1000);
    return await action();
  } finally {
    for (const { requestId } of hogs) await mags.stop(requestId);
    for (const { requestId } of hogs) await mags.wait(requestId);
  }
}

async function measure(mags: Mags, quiet: string, runs: number) {
  const times = { exec: [] as number[], run: [] as number[], "CPU of 1 s": [] as number[] };
  for (let number = 0; number < runs; number++) {
    times.exec.push(await timed(async () => void (await mags.exec(quiet, ["/bin/true"]))));
    times.run.push(
      await timed(async () => void (await mags.wait((await mags.run("true", { memoryMb: 256 })).requestId))),
    );
    if (number % 5 === 0)
      times["CPU of 1 s"].push(Number((await mags.exec(quiet, ["python3", "-c", SHARE])).stdout) * 1000);
  }
  return times;
}

const middle = (times: number[]) => summarise(times).p50;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
