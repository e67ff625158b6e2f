import { readFileSync } from "node:fs";
import { type Mags, MagsError, type RunOptions, type Upload } from "@mags/sdk";
import { type Command, Option } from "commander";
import { client } from "../config.ts";
import { exitCodes } from "../exit-codes.ts";
import { count, keyValue, list, positive } from "../flags/values.ts";
import { err } from "../render/colours.ts";
import { beforeLeaving, complain, printJson, writeEntry } from "../render/output.ts";
import { isScriptFile, type Script, scriptOf } from "../script.ts";

interface Flags extends FollowFlags {
  file?: string[];
  name?: string;
  env?: Record<string, string>;
  secret?: Record<string, string>;
  ephemeral?: boolean;
  workspace?: string;
  base?: string;
  onBusy?: "wait" | "fail";
  sleep: boolean;
  startupCommand?: string;
  timeout?: number;
  memory?: number;
  cpus?: number;
  disk?: number;
  image?: string;
  isolation?: "container" | "vm";
  runtime?: "qemu" | "container";
  nodeRetries?: number;
  suspend?: boolean;
  network: boolean;
  allow?: string[];
  url?: boolean;
  port?: number;
}

/** How a job that was started here is followed. */
export interface FollowFlags {
  /** its machine stays, so the end of its script is the end */
  persistent?: boolean;
  detach?: boolean;
  verbose?: boolean;
  json?: boolean;
}

export function addRun(program: Command): void {
  program
    .command("run")
    .description("run a script in a sandbox; streams its output and exits with its exit code")
    .argument(
      "[script...]",
      "the script; or a file with its arguments, run by what its first line or its extension says; - reads standard input",
    )
    .option("-f, --file <path>", "upload a file to /root (repeatable); without a script it is the script", list)
    .option("-n, --name <name>", "label of the job")
    .option("-e, --env <KEY=VALUE>", "environment variable (repeatable)", keyValue)
    .option("--secret <KEY=NAME>", "variable that holds a secret, or one version of it, NAME@3 (repeatable)", keyValue)
    .option("-w, --workspace <name>", "keep the files under this name")
    .option("-b, --base <name[@version]>", "start from this workspace; without -w the changes are discarded")
    .addOption(new Option("--on-busy <what>", "while the workspace is in use").choices(["wait", "fail"]))
    .option("-p, --persistent", "keep the machine after the script")
    .option("--ephemeral", "keep nothing (the fastest)")
    .option("--no-sleep", "never put the machine to sleep (needs --persistent)")
    .option("--suspend", "keep its processes and memory while it sleeps (needs --persistent and a virtual machine)")
    .option("--startup-command <command>", "run when a sleeping machine wakes")
    .option("--timeout <seconds>", "time the script may run", count)
    .option("--memory <MiB>", "memory limit", count)
    .option("--cpus <number>", "CPU limit", positive)
    .option("--disk <GiB>", "disk size", positive)
    .option("-i, --image <name>", "base, alpine, browser, or docker://registry/name:tag (default: base)")
    .addOption(new Option("--isolation <level>", "weakest isolation that is accepted").choices(["container", "vm"]))
    .addOption(new Option("--runtime <name>", "what the machine is made by").choices(["qemu", "container"]))
    .option("--node-retries <number>", "start the script again, so often at most, when its node is lost", count)
    .option("--no-network", "reach nothing outside")
    .option("--allow <host>", "reach only this: a name, *.name, IPv4 address or CIDR, and :port (repeatable)", list)
    .option("--url", "print the URL of a port on standard error (needs --persistent)")
    .option("--port <port>", "the port for --url; 8080 by default", count)
    .option("-d, --detach", "print the job's id and return at once")
    .option("--verbose", "show what Mags says about the job, on standard error")
    .option("--json", "print the job as JSON when it has ended; its own output goes to standard error")
    .addHelpText(
      "after",
      "\nExample:\n  mags run 'echo out; echo err >&2; exit 3'\n  mags run -f data.csv analyse.py data.csv\n\nExit codes: the script's own; 124 time limit, 125 not run or ended by another limit, 130 stopped.\nCtrl-C stops the job; a second one leaves at once.",
    )
    .action(run);
}

async function run(words: string[], flags: Flags, command: Command): Promise<void> {
  if (flags.url && !flags.persistent)
    command.error("error: --url needs --persistent: a URL leads to a machine that stays");
  const mags = client();
  const { script, uploads } = readScript(words, flags.file ?? []);
  const options = { ...toOptions(flags), fileIds: uploads.length > 0 ? await mags.uploadFiles(uploads) : undefined };
  const start = async () => {
    const made = await mags.run(script, options);
    if (flags.url) process.stderr.write(`${(await mags.url(made.requestId, flags.port)).url}\n`);
    return made;
  };
  await startAndFollow(mags, start, flags);
}

/** Starts a job and stays with it to its end, unless it is to be left alone. */
export async function startAndFollow(
  mags: Mags,
  start: () => Promise<{ requestId: string; name: string }>,
  flags: FollowFlags,
): Promise<void> {
  if (flags.detach) {
    const { requestId, name } = await start();
    if (flags.json) return printJson({ request_id: requestId, name });
    process.stdout.write(`${requestId}\n`);
    return;
  }
  // Before the request, or a Ctrl-C in that moment would leave a job behind that nobody knows of.
  const started = stopOnInterrupt(mags);
  const { requestId } = await start();
  started(requestId);
  await (flags.persistent ? streamUntilScriptEnds : stream)(mags, requestId, flags);
  const final = await mags.wait(requestId);
  if (flags.json) printJson(final);
  if (final.status === "error" && final.error) complain(final.error);
  process.exitCode = exitCodeOf(final);
}

function exitCodeOf(job: { status: string; reason: string | null; exit_code: number | null }): number {
  if (job.status === "stopped") return exitCodes.stopped;
  if (job.reason === "timeout") return exitCodes.timeout;
  if (job.status === "error") return exitCodes.notRun;
  return job.exit_code ?? exitCodes.notRun;
}

/** Prints the log to its end, or until `signal`; answers the cursor after the last entry. */
async function stream(mags: Mags, id: string, flags: FollowFlags, signal?: AbortSignal): Promise<string | undefined> {
  let cursor: string | undefined;
  for await (const item of mags.followLogs(id, { signal })) {
    if (item.type === "end") break;
    await writeEntry(item, outputs(flags));
    cursor = item.cursor;
  }
  return cursor;
}

/** A persistent job's log goes on with its machine, so the status tells of the script's end; the log up to then is whole. */
async function streamUntilScriptEnds(mags: Mags, id: string, flags: FollowFlags): Promise<void> {
  const leave = new AbortController();
  const ended = mags.wait(id).finally(() => leave.abort());
  const [cursor] = await Promise.all([stream(mags, id, flags, leave.signal), ended]);
  for (const entry of await mags.logs(id, { after: cursor })) await writeEntry(entry, outputs(flags));
}

const outputs = ({ verbose, json }: FollowFlags) => ({ verbose, stdoutTo: json ? process.stderr : process.stdout });

/** Ctrl-C stops the job, as soon as its id is known, and so does a reader of our output who leaves. */
function stopOnInterrupt(mags: Mags): (id: string) => void {
  let id: string | undefined;
  let asked = false;
  const stop = async () => {
    if (id !== undefined) await mags.stop(id);
  };
  const report = (error: unknown) => {
    // It ended by itself meanwhile: nothing is left to stop.
    if (error instanceof MagsError && error.statusCode === 409) return;
    complain(`the job could not be stopped: ${(error as Error).message}`);
  };
  const interrupt = () => {
    if (asked) process.exit(exitCodes.stopped);
    asked = true;
    stop().catch(report);
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  beforeLeaving(stop);
  return (started) => {
    id = started;
    if (asked) stop().catch(report);
  };
}

/** Files go with a script that is given in words; one file alone is the script. */
function readScript(words: string[], files: string[]): { script: string; uploads: Upload[] } {
  const [word, ...args] = words;
  const [file] = files;
  const alone = files.length === 1 && words.length === 0 && file !== "-";
  if (alone) return withUploads(scriptOf(file as string, readFileSync(file as string), []), []);
  if (word !== undefined && word !== "-")
    return isScriptFile(word)
      ? withUploads(scriptOf(word, readFileSync(word), args), files)
      : { script: words.join(" "), uploads: files };
  if (process.stdin.isTTY) process.stderr.write(`${err.dim("reading the script; Ctrl-D ends it")}\n`);
  return withUploads(
    scriptOf("stdin", readFileSync(0), args),
    files.filter((path) => path !== "-"),
  );
}

const withUploads = ({ script, upload }: Script, files: Upload[]) => ({
  script,
  uploads: upload ? [...files, upload] : files,
});

function toOptions(flags: Flags): RunOptions {
  return {
    name: flags.name,
    environment: flags.env,
    secrets: flags.secret,
    persistent: flags.persistent,
    ephemeral: flags.ephemeral,
    workspaceId: flags.workspace,
    baseWorkspaceId: flags.base,
    onBusy: flags.onBusy,
    noSleep: flags.sleep ? undefined : true,
    startupCommand: flags.startupCommand,
    timeout: flags.timeout,
    memoryMb: flags.memory,
    vcpus: flags.cpus,
    diskGb: flags.disk,
    rootfsType: flags.image,
    isolation: flags.isolation,
    runtime: flags.runtime,
    nodeRetries: flags.nodeRetries,
    sleep: flags.suspend ? "suspend" : undefined,
    network: flags.allow ? { allow: flags.allow } : flags.network ? undefined : "none",
  };
}
