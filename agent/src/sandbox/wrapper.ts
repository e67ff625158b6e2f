import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { spawn } from "@mags/kit";
import type { CommandEnd } from "./driver.ts";

/**
 * A command in a sandbox has a small shell on the host above it that nothing of ours owns: it opens the FIFOs for
 * reading and writing (so that a reader always exists and nobody gets SIGPIPE while the agent is away), runs the
 * command and writes its exit status to a file. So output and status outlive the agent, and the script, which
 * cannot see the host's processes, cannot harm them.
 *
 * `$1` is the directory of the run, `$2` and `$3` the FIFOs, the rest the command.
 */
const WRAPPER = `dir=$1; exec 1<>"$2" 2<>"$3" </dev/null; shift 3
"$@"
echo $? >"$dir/exit.new"; mv "$dir/exit.new" "$dir/exit"`;

const POLL_MS = 50;

/** Starts the wrapper; `end` resolves when the status is known. Throws when the wrapper itself cannot be started. */
export async function startWrapped(directory: string, stdoutFifo: string, stderrFifo: string, argv: string[]) {
  const child = spawn("/bin/sh", ["-c", WRAPPER, "mags-run", directory, stdoutFifo, stderrFifo, ...argv], {
    detached: true,
    stdio: "ignore",
    reject: false,
    cleanup: false,
  });
  if (child.pid === undefined) throw new Error((await child).message);
  await writeFile(join(directory, "wrapper.pid"), String(child.pid));
  return { end: child.then(() => endOf(directory)) };
}

/** Waits for a wrapper that an earlier agent process started. */
export async function adoptWrapped(directory: string): Promise<{ end: Promise<CommandEnd> }> {
  return { end: waitForWrapper(directory) };
}

async function waitForWrapper(directory: string): Promise<CommandEnd> {
  while (await wrapperLives(directory)) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  return endOf(directory);
}

async function endOf(directory: string): Promise<CommandEnd> {
  const status = await readFile(join(directory, "exit"), "utf8").catch(() => "");
  if (!/^\d+\n$/.test(status)) {
    return { failed: "supervisor_lost", message: "the process that watched the script was killed" };
  }
  return { exitCode: Number(status) };
}

/** By command line and not by pid alone: a pid may have a new owner. */
async function wrapperLives(directory: string): Promise<boolean> {
  const recorded = await readFile(join(directory, "wrapper.pid"), "utf8").catch(() => "");
  // Killed between the start of the wrapper and the note of its pid: look at all processes.
  const pids = recorded ? [recorded] : (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (line.includes("\0mags-run\0") && line.includes(`\0${directory}\0`)) return true;
  }
  return false;
}
