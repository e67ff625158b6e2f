import { access, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { spawn } from "@mags/kit";
import type { Command, CommandEnd, RunningCommand } from "./driver.ts";

/**
 * A command in a sandbox has a small shell on the host above it that nothing of ours owns: it opens the FIFOs for
 * reading and writing (so that a reader always exists and nobody gets SIGPIPE while the agent is away), runs the
 * command and writes its exit status to a file. Then it stops itself and holds the FIFOs, whose content would go with
 * their last holder, until the agent has taken what is in them and kills it. So output and status outlive the agent,
 * and the script, which cannot see the host's processes, cannot harm them.
 *
 * `$1` is the directory of the run, `$2` and `$3` the FIFOs, `$4` a directory whose making is the moment from which the
 * command counts as begun (who makes it first has decided), the rest the command. The end of descriptor 3 tells a living
 * agent at once.
 */
const WRAPPER = `dir=$1; exec 1<>"$2" 2<>"$3" </dev/null; mkdir "$4" || exit; shift 4; trap '' HUP
"$@" 3>&-
echo $? >"$dir/exit.new"; mv "$dir/exit.new" "$dir/exit"; exec 3>&-
while :; do kill -STOP $$; done`;

const NAME = "mags-run";
const POLL_MS = 50;

/** Starts the wrapper; `end` resolves when the status is known. Throws when the wrapper itself cannot be started. */
export async function startWrapped(
  command: Pick<Command, "directory" | "stdoutFifo" | "stderrFifo" | "token">,
  argv: string[],
): Promise<RunningCommand> {
  const { directory, stdoutFifo, stderrFifo, token } = command;
  const args = [directory, stdoutFifo, stderrFifo, begunPath(directory, token), ...argv];
  const child = spawn("/bin/sh", ["-c", WRAPPER, NAME, ...args], {
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "pipe"],
    buffer: false,
    reject: false,
    cleanup: false,
  });
  if (child.pid === undefined) throw new Error((await child).message);
  const closed = new Promise<void>((resolve) => child.stdio[3]?.once("close", resolve).resume());
  const end = Promise.race([closed, child]).then(() => endOf(directory));
  return { end, earlier: () => earlierEnd(directory), release: async () => void child.kill("SIGKILL") };
}

const begunPath = (directory: string, token: string) => join(directory, `begun-${token}`);

/** True when the command with this token has not begun; from then on it never will. */
export async function preventStart(directory: string, token: string): Promise<boolean> {
  return mkdir(begunPath(directory, token)).then(
    () => true,
    () => false,
  );
}

/** Takes up a wrapper that an earlier agent process started. */
export function adoptWrapped(directory: string): RunningCommand {
  const release = () => killWrappers((other) => other === directory);
  return { end: waitForWrapper(directory), earlier: () => earlierEnd(directory), release };
}

/** Kills the wrappers whose directory `unwanted` picks. */
export async function killWrappers(unwanted: (directory: string) => boolean): Promise<void> {
  for (const { pid, directory } of await wrappers()) {
    if (!unwanted(directory)) continue;
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // gone between the look and the signal
    }
  }
}

const written = (directory: string): Promise<boolean> =>
  access(join(directory, "exit")).then(
    () => true,
    () => false,
  );

const earlierEnd = async (directory: string): Promise<CommandEnd | undefined> =>
  (await written(directory)) ? endOf(directory) : undefined;

async function waitForWrapper(directory: string): Promise<CommandEnd> {
  const lives = async () => (await wrappers()).some((wrapper) => wrapper.directory === directory);
  while (!(await written(directory)) && (await lives())) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  return endOf(directory);
}

async function endOf(directory: string): Promise<CommandEnd> {
  const status = await readFile(join(directory, "exit"), "utf8").catch(() => "");
  if (!/^\d+\n$/.test(status)) {
    return { failed: "supervisor_lost", message: "the process that watched the script was killed" };
  }
  return { exitCode: Number(status) };
}

/** All wrappers on the machine, by their command lines: a pid that was written down may have a new owner. */
async function wrappers(): Promise<{ pid: number; directory: string }[]> {
  const found: { pid: number; directory: string }[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    const [, option, , name, directory] = line.split("\0");
    if (option === "-c" && name === NAME && directory) found.push({ pid: Number(pid), directory });
  }
  return found;
}
