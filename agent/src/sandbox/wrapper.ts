import { once } from "node:events";
import { closeSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import { join } from "node:path";
import { emptyFile, makePipe, startProcess } from "@mags/kit";
import type { Command, CommandEnd, RunningCommand } from "./driver.ts";

/**
 * A command in a sandbox has a small shell on the host above it that nothing of ours owns: it opens the FIFOs for
 * reading and writing (so that a reader always exists and nobody gets SIGPIPE while the agent is away), runs the
 * command and writes its exit status to a file. Then it stops itself and holds the FIFOs, whose content would go with
 * their last holder, until the agent has closed the log and kills it: a machine that stays has processes that print after
 * their script. So output and status outlive the agent, and the script, which cannot see the host's processes, cannot
 * harm them. On a full disk it waits for room for the status.
 *
 * `$1` is the directory of the run, `$2` and `$3` the FIFOs, `$4` a file whose making is the moment from which the
 * command counts as begun (who makes it first has decided, `set -C` refuses one that is there), the rest the command. The end of
 * descriptor 3 tells a living agent at once.
 */
const WRAPPER = `dir=$1; exec 1<>"$2" 2<>"$3"; set -C; : >"$4" || exit; set +C; shift 4
"$@" 3>&-
code=$?
{ until echo $code >"$dir/exit"; do sleep 0.5; done; } 2>/dev/null
exec 3>&-
while :; do kill -STOP $$; done`;

const NAME = "mags-run";
const POLL_MS = 50;

/** Starts the wrapper; the command reads `input`, nothing by default. `end` resolves when the status is known. Throws when the wrapper itself cannot be started. */
export function startWrapped(
  command: Pick<Command, "directory" | "stdoutFifo" | "stderrFifo" | "token">,
  argv: string[],
  given?: number,
): RunningCommand {
  const { directory, stdoutFifo, stderrFifo, token } = command;
  const args = [directory, stdoutFifo, stderrFifo, begunPath(directory, token), ...argv];
  const [reader, writer] = makePipe();
  const input = given ?? emptyFile();
  const closed = new Socket({ fd: reader, readable: true, writable: false });
  try {
    const { pid, ended } = startProcess("/bin/sh", ["-c", WRAPPER, NAME, ...args], {
      stdio: [input, null, null, writer],
      detached: true,
    });
    const end = Promise.race([once(closed.resume(), "close"), ended]).then(() => endOf(directory));
    return { end, earlier: () => earlierEnd(directory), release: async () => kill(pid) };
  } catch (error) {
    closed.destroy();
    throw error;
  } finally {
    closeSync(writer);
    if (given === undefined) closeSync(input);
  }
}

const begunPath = (directory: string, token: string) => join(directory, `begun-${token}`);

/** True when the command with this token has not begun; from then on it never will. */
export async function preventStart(directory: string, token: string): Promise<boolean> {
  return writeFile(begunPath(directory, token), "", { flag: "wx" }).then(
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
    if (unwanted(directory)) kill(pid);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // gone already
  }
}

const STATUS = /^(\d+)\n$/;

/** The status that the wrapper wrote, once the line is whole. */
async function earlierEnd(directory: string): Promise<CommandEnd | undefined> {
  const [, exitCode] = STATUS.exec(await readFile(join(directory, "exit"), "utf8").catch(() => "")) ?? [];
  return exitCode === undefined ? undefined : { exitCode: Number(exitCode) };
}

async function waitForWrapper(directory: string): Promise<CommandEnd> {
  const lives = async () => (await wrappers()).some((wrapper) => wrapper.directory === directory);
  for (;;) {
    const end = await earlierEnd(directory);
    if (end) return end;
    if (!(await lives())) return endOf(directory);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

const endOf = async (directory: string): Promise<CommandEnd> =>
  (await earlierEnd(directory)) ?? {
    failed: "supervisor_lost",
    message: "the process that watched the script was killed",
  };

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
