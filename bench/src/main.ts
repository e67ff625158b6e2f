import { parseArgs } from "node:util";
import { Mags } from "@mags/sdk";
import { config } from "./config.ts";
import { benchIngress, type IngressReport, printIngress } from "./ingress.ts";
import { benchNeighbour } from "./neighbour.ts";
import { type Contender, crunExecIn, crunOnBundleOf, crunPlain, podman } from "./runtimes.ts";
import { printSoak, type SoakReport, soak } from "./soak.ts";
import { summarise } from "./stats.ts";
import { inTurns, timed } from "./turns.ts";
import { benchVms } from "./vms.ts";
import { benchWake } from "./wake.ts";
import { benchWorkspaces, type Report } from "./workspaces.ts";

const HELP = `usage: npm run bench -- [run|node|exec|access|workspaces|soak|neighbour|vm] [--runs N] [--minutes N] [--json]
  run   from POST to the final status of a job 'true', beside bare 'crun run' of the same bundle and of a plain one, and
        'podman run', in turns
  node  from POST to the output of the first 'node -v': N one at a time, then N at once
  exec  from POST …/exec of 'true' in a live machine to its answer, beside bare 'crun exec' in the same machine, in turns
  access
        requests to a server in a sandbox: directly, through nginx and through the gateway, in turns (needs nginx and wrk);
        then exec; then the first byte from a machine that wakes, beside one that is made for it
  workspaces
        a workspace of 1 GiB beside restic and tar | zstd, in turns: kept the first time, after 1 % has changed, when nothing
        has, restored with cold caches; forks and freezing. Needs no server
  soak  mixed work at 80 % of what the nodes offer, for --minutes (30): failures, and whether memory and descriptors of the
        server's process grow
  neighbour
        exec, a whole job and the share of a CPU of a quiet sandbox, alone and beside two that take all they can of CPU, memory,
        disk, log or processes, and the ratios
  vm    from POST to the final status of a job 'true' in a virtual machine, beside the cold boot of a bare QEMU and a command over an
        SSH connection to it that is open; exec; a start from saved state; memory of a machine that waits
The others need a running server (npm start) on this machine; all need root.
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string" },
    minutes: { type: "string" },
    json: { type: "boolean" },
    help: { type: "boolean" },
  },
});
const mags = new Mags(config);

async function benchRun(runs: number): Promise<Report> {
  const other = await podman();
  if (typeof other === "string") process.stderr.write(`podman is left out: ${other}\n`);
  const { requestId } = await mags.run("true", { persistent: true });
  try {
    const { vm_id } = await mags.wait(requestId);
    const ours: Contender = { name: "mags", once: () => timed(() => waitFor("true")), close: async () => undefined };
    const bare = [await crunOnBundleOf(vm_id ?? ""), await crunPlain()];
    return report(await inTurns([ours, ...bare, ...(typeof other === "string" ? [] : [other])], runs));
  } finally {
    await mags.stop(requestId);
  }
}

async function benchExec(runs: number) {
  const { requestId } = await mags.runAndWait("true", { persistent: true });
  try {
    const { vm_id } = await mags.status(requestId);
    const once = () =>
      timed(async () => {
        const { exitCode } = await mags.exec(requestId, ["/bin/true"]);
        if (exitCode !== 0) throw new Error(`the command ended with ${exitCode}`);
      });
    const times = await inTurns(
      [{ name: "mags exec", once, close: async () => undefined }, crunExecIn(vm_id ?? "")],
      runs,
    );
    const results = Object.fromEntries([...times].map(([name, list]) => [name, summarise(list)]));
    const ratio = (results["mags exec"]?.p50 ?? Number.NaN) / (results["crun exec"]?.p50 ?? Number.NaN);
    return { results, ratios: { "mags exec / crun exec": ratio }, aims: { "mags exec / crun exec": 1.5 } };
  } finally {
    await mags.stop(requestId);
  }
}

function report(times: Map<string, number[]>): Report {
  const results = Object.fromEntries([...times].map(([name, list]) => [name, summarise(list)]));
  const to = (name: string) => (results.mags?.p50 ?? Number.NaN) / (results[name]?.p50 ?? Number.NaN);
  const aims = { "mags / crun, same bundle": 1.5, "mags / podman run": 0.3 };
  return { results, ratios: Object.fromEntries(Object.keys(aims).map((name) => [name, to(name.slice(7))])), aims };
}

async function benchNode(runs: number): Promise<Report> {
  const serial: number[] = [];
  for (let number = 0; number < runs; number++) serial.push(await timed(() => firstOutput("node -v")));
  const burst = await Promise.all(Array.from({ length: runs }, () => timed(() => firstOutput("node -v"))));
  const results = { "one at a time": summarise(serial), "all at once": summarise(burst) };
  const { p50, p99 } = results["one at a time"];
  return { results, ratios: { "p99 / p50, one at a time": p99 / p50 }, aims: { "p99 / p50, one at a time": 2 } };
}

async function waitFor(script: string): Promise<void> {
  const { requestId } = await mags.run(script);
  const job = await mags.wait(requestId);
  if (job.status !== "completed") throw new Error(`the job ended as ${job.status}: ${job.error}`);
}

async function firstOutput(script: string): Promise<void> {
  const { requestId } = await mags.run(script);
  for await (const item of mags.followLogs(requestId)) if (item.type === "entry" && item.source === "stdout") return;
  throw new Error("the job printed nothing");
}

function print(report: Report) {
  const ms = (value: number) => `${value.toFixed(1)} ms`.padStart(11);
  for (const [name, { runs, p50, p95, p99 }] of Object.entries(report.results)) {
    process.stdout.write(`${name.padEnd(26)} p50${ms(p50)}  p95${ms(p95)}  p99${ms(p99)}  (${runs} runs)\n`);
  }
  for (const [name, ratio] of Object.entries(report.ratios)) {
    const aim = report.aims[name];
    process.stdout.write(
      `${name.padEnd(32)} ${ratio.toFixed(2)}${aim === undefined ? "" : `  (aim: at most ${aim})`}\n`,
    );
  }
}

interface Access {
  ingress: IngressReport;
  exec: Report;
  wake: Report;
}

const scenarios: Record<string, () => Promise<Report | Access | SoakReport>> = {
  run: () => benchRun(Number(values.runs ?? 30)),
  node: () => benchNode(Number(values.runs ?? 100)),
  exec: () => benchExec(Number(values.runs ?? 100)),
  access: async () => ({
    ingress: await benchIngress(mags, Number(values.runs ?? 5)),
    exec: await benchExec(Number(values.runs ?? 100)),
    wake: await benchWake(mags, Number(values.runs ?? 20)),
  }),
  soak: () => soak(mags, Number(values.minutes ?? 30)),
  neighbour: () => benchNeighbour(mags, Number(values.runs ?? 20)),
  vm: () => benchVms(mags, Number(values.runs ?? 20)),
  workspaces: () => benchWorkspaces(Number(values.runs ?? 5)),
};
const scenario = scenarios[positionals[0] ?? "run"];
if (values.help || !scenario) {
  process.stdout.write(HELP);
  process.exit(values.help ? 0 : 2);
}
try {
  const report = await scenario();
  if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else if ("growth" in report) printSoak(report);
  else if ("ingress" in report) {
    printIngress(report.ingress);
    print(report.exec);
    print(report.wake);
  } else print(report);
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exit(1);
}
process.exit(0);
