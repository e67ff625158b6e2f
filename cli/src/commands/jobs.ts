import { entryBytes } from "@mags/sdk";
import type { Command } from "commander";
import pc from "picocolors";
import { client } from "../config.ts";

/** The commands about jobs that exist already: list, status, logs, stop, set, pool. */
export function addJobs(program: Command): void {
  program
    .command("list")
    .alias("ls")
    .description("list jobs, newest first")
    .option("--status <status>", "only jobs with this status")
    .option("--name <name>", "only jobs with this name")
    .option("--page <number>", "page", Number)
    .option("--page-size <number>", "jobs a page", Number)
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags list --status running")
    .action(async ({ json, ...filters }) => {
      const answer = await client().list(filters);
      process.stdout.write(json ? `${JSON.stringify(answer)}\n` : table(answer.jobs));
    });

  program
    .command("status")
    .description("show one job")
    .argument("<job>", "id or name")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags status brave-otter-3f2a")
    .action(async (id: string, { json }) => {
      const job = await client().status(id);
      const rows = Object.entries(job).filter(([, value]) => value !== null && typeof value !== "object");
      process.stdout.write(
        json ? `${JSON.stringify(job)}\n` : rows.map(([key, value]) => `${key.padEnd(20)} ${value}\n`).join(""),
      );
    });

  program
    .command("logs")
    .description("print a job's output: stdout to stdout, stderr to stderr")
    .argument("<job>", "id or name")
    .option("-f, --follow", "go on until the script has ended")
    .option("--json", "print each entry as a line of JSON")
    .addHelpText("after", "\nExample:\n  mags logs -f brave-otter-3f2a")
    .action(printLogs);

  program
    .command("stop")
    .description("stop a job and its machine")
    .argument("<job>", "id or name")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags stop brave-otter-3f2a")
    .action(async (id: string, { json }) => {
      await client().stop(id);
      process.stdout.write(json ? `${JSON.stringify({ stopped: id })}\n` : `stopping ${id}\n`);
    });

  program
    .command("set")
    .description("change a live job")
    .argument("<job>", "id or name")
    .option("--no-sleep", "never put it to sleep")
    .option("--sleep", "let it sleep when idle")
    .option("--startup-command <command>", "run when it wakes")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags set my-app --no-sleep")
    .action(async (id: string, { sleep, startupCommand, json }) => {
      const job = await client().update(id, { noSleep: sleep === undefined ? undefined : !sleep, startupCommand });
      process.stdout.write(json ? `${JSON.stringify(job)}\n` : `changed ${job.name}\n`);
    });

  program
    .command("pool")
    .description("show how many sandboxes are ready and in use")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags pool")
    .action(async ({ json }) => {
      const pool = await client().poolStatus();
      process.stdout.write(json ? `${JSON.stringify(pool)}\n` : `${pool.idle_vms} ready, ${pool.busy_vms} in use\n`);
    });
}

async function printLogs(id: string, flags: { follow?: boolean; json?: boolean }): Promise<void> {
  const mags = client();
  const items = flags.follow
    ? mags.followLogs(id)
    : (await mags.logs(id)).map((entry) => ({ type: "entry" as const, ...entry }));
  for await (const item of items) {
    if (flags.json) process.stdout.write(`${JSON.stringify(item)}\n`);
    else if (item.type === "entry" && item.source === "stdout") process.stdout.write(entryBytes(item));
    else if (item.type === "entry" && item.source === "stderr") process.stderr.write(entryBytes(item));
    else if (item.type === "entry") process.stderr.write(`${pc.dim(`mags: ${item.message}`)}\n`);
  }
}

const colours: Record<string, (text: string) => string> = {
  completed: pc.green,
  running: pc.cyan,
  error: pc.red,
  stopped: pc.yellow,
};

function table(
  jobs: { request_id: string; name: string; status: string; exit_code: number | null; created_at: string }[],
): string {
  if (jobs.length === 0) return "no jobs yet; start one with: mags run 'echo hello'\n";
  const line = (id: string, name: string, status: string, exit: string, created: string) =>
    `${id.padEnd(36)}  ${name.padEnd(24)}  ${(colours[status.trim()] ?? String)(status.padEnd(9))}  ${exit.padStart(4)}  ${created}\n`;
  const rows = jobs.map((job) =>
    line(job.request_id, job.name, job.status, String(job.exit_code ?? ""), job.created_at),
  );
  return pc.bold(line("ID", "NAME", "STATUS", "EXIT", "CREATED")) + rows.join("");
}
