import { readFileSync } from "node:fs";
import { entryBytes, type Mags, type RunOptions } from "@mags/sdk";
import type { Command } from "commander";
import pc from "picocolors";
import { client } from "../config.ts";
import { exitCodes } from "../exit-codes.ts";

interface Flags {
  file?: string;
  name?: string;
  env: Record<string, string>;
  persistent?: boolean;
  ephemeral?: boolean;
  sleep: boolean;
  startupCommand?: string;
  timeout?: number;
  memory?: number;
  cpus?: number;
  disk?: number;
  isolation?: "container" | "vm";
  detach?: boolean;
  verbose?: boolean;
  json?: boolean;
}

export function addRun(program: Command): void {
  program
    .command("run")
    .description("run a script in a sandbox; streams its output and exits with its exit code")
    .argument("[script...]", "the script; - reads it from standard input")
    .option("-f, --file <path>", "read the script from a file")
    .option("-n, --name <name>", "label of the job")
    .option("-e, --env <KEY=VALUE>", "environment variable (repeatable)", keyValue, {})
    .option("-p, --persistent", "keep the machine after the script")
    .option("--ephemeral", "keep nothing (the fastest)")
    .option("--no-sleep", "never put the machine to sleep (needs --persistent)")
    .option("--startup-command <command>", "run when a sleeping machine wakes")
    .option("--timeout <seconds>", "time the script may run", Number)
    .option("--memory <MiB>", "memory limit", Number)
    .option("--cpus <number>", "CPU limit", Number)
    .option("--disk <GiB>", "disk size", Number)
    .option("--isolation <level>", "weakest isolation that is accepted: container or vm")
    .option("-d, --detach", "print the job's id and return at once")
    .option("--verbose", "show what Mags says about the job, on standard error")
    .option("--json", "print the job as JSON when it has ended")
    .addHelpText(
      "after",
      "\nExample:\n  mags run 'echo out; echo err >&2; exit 3'\n\nExit codes: the script's own; 124 time limit, 125 not run, 130 stopped.",
    )
    .action(run);
}

async function run(words: string[], flags: Flags): Promise<void> {
  const mags = client();
  const job = await mags.run(readScript(words, flags.file), toOptions(flags));
  if (flags.detach) {
    process.stdout.write(
      flags.json ? `${JSON.stringify({ request_id: job.requestId, name: job.name })}\n` : `${job.requestId}\n`,
    );
    return;
  }
  stopOnInterrupt(mags, job.requestId);
  await stream(mags, job.requestId, flags);
  const final = await mags.wait(job.requestId);
  if (flags.json) process.stdout.write(`${JSON.stringify(final)}\n`);
  if (final.status === "error" && final.error) process.stderr.write(`${pc.red("error")}: ${final.error}\n`);
  process.exitCode = exitCodeOf(final);
}

function exitCodeOf(job: { status: string; reason: string | null; exit_code: number | null }): number {
  if (job.status === "stopped") return exitCodes.stopped;
  if (job.reason === "timeout") return exitCodes.timeout;
  return job.exit_code ?? exitCodes.notRun;
}

async function stream(mags: Mags, id: string, flags: Flags): Promise<void> {
  const done = new AbortController();
  // A persistent job's log goes on with its machine; its script's end is in the status.
  if (flags.persistent)
    mags.wait(id).then(
      () => setTimeout(() => done.abort(), 200),
      () => done.abort(),
    );
  for await (const item of mags.followLogs(id, { signal: done.signal })) {
    if (item.type === "end") return;
    if (item.source !== "system") {
      const target = item.source === "stdout" && !flags.json ? process.stdout : process.stderr;
      if (!target.write(entryBytes(item))) await new Promise((resolve) => target.once("drain", resolve));
    } else if (flags.verbose || item.level === "warn") {
      process.stderr.write(`${pc.dim(`mags: ${item.message}`)}\n`);
    }
  }
}

function stopOnInterrupt(mags: Mags, id: string): void {
  let asked = false;
  process.on("SIGINT", () => {
    if (asked) process.exit(exitCodes.stopped);
    asked = true;
    mags.stop(id).catch((error: Error) => process.stderr.write(`the job could not be stopped: ${error.message}\n`));
  });
}

function readScript(words: string[], file: string | undefined): string {
  if (file !== undefined) return readFileSync(file === "-" ? 0 : file, "utf8");
  if (words.length === 0 || (words.length === 1 && words[0] === "-")) return readFileSync(0, "utf8");
  return words.join(" ");
}

function toOptions(flags: Flags): RunOptions {
  return {
    name: flags.name,
    environment: flags.env,
    persistent: flags.persistent,
    ephemeral: flags.ephemeral,
    noSleep: flags.sleep ? undefined : true,
    startupCommand: flags.startupCommand,
    timeout: flags.timeout,
    memoryMb: flags.memory,
    vcpus: flags.cpus,
    diskGb: flags.disk,
    isolation: flags.isolation,
  };
}

function keyValue(text: string, all: Record<string, string>): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new Error(`-e wants KEY=VALUE, not ${text}`);
  return { ...all, [text.slice(0, equals)]: text.slice(equals + 1) };
}
