import { chmodSync, chownSync, readFileSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Cleanup } from "@mags/kit";
import type { Command, CommandEnd, Image, RunningCommand, Sandbox, SandboxSize } from "../../sandbox/driver.ts";
import { adoptWrapped, startWrapped } from "../../sandbox/wrapper.ts";
import { membersOf, oomKills } from "./cgroups.ts";
import { killFamily } from "./family.ts";
import { diskAt } from "./root.ts";
import type { Runtime } from "./runtime.ts";
import { processConfig } from "./spec.ts";

/** What is written down of a container, so that the next agent process finds it again. */
export interface ContainerRecord {
  id: string;
  slot: number;
  idBase: number;
  networkId: string;
  size: SandboxSize;
  image: Image;
  cgroupsPath: string;
  volume: string;
  /** the volume is not the sandbox's own and stays */
  kept: boolean;
  pid: number;
  /** start time of `pid` in clock ticks since boot, field 22 of /proc/<pid>/stat: tells a reused pid */
  startTime: string;
}

/** A running container. */
export class ContainerSandbox implements Sandbox {
  readonly record: ContainerRecord;
  readonly #runtime: Runtime;
  readonly #dir: string;
  readonly #cleanup: Cleanup;

  constructor(record: ContainerRecord, runtime: Runtime, dir: string, cleanup: Cleanup) {
    this.record = record;
    this.#runtime = runtime;
    this.#dir = dir;
    this.#cleanup = cleanup;
  }

  get id() {
    return this.record.id;
  }
  get size() {
    return this.record.size;
  }
  get image() {
    return this.record.image;
  }
  get mountedAt() {
    return diskAt(this.#dir);
  }

  async place(name: string, content: string): Promise<void> {
    const path = join(this.#dir, "job", name);
    writeFileSync(path, content, { mode: 0o400 });
    chownSync(path, this.record.idBase, this.record.idBase);
  }

  async exec(command: Command): Promise<RunningCommand> {
    const { directory } = command;
    // Scripts open their streams by name, too (/dev/stderr), also as other users of the machine.
    for (const fifo of [command.stdoutFifo, command.stderrFifo]) {
      chownSync(fifo, this.record.idBase, this.record.idBase);
      chmodSync(fifo, 0o622);
    }
    const process = join(directory, "process.json");
    writeFileSync(process, JSON.stringify(processConfig(command.argv, command.env, command.cwd)), { mode: 0o600 });
    const log = join(directory, "runtime.log");
    const pidFile = join(directory, "script.pid");
    const argv = this.#runtime.command(["--log", log, "exec", "--process", process, "--pid-file", pidFile, this.id]);
    return explained(startWrapped(command, argv), directory);
  }

  adoptExec(directory: string): RunningCommand {
    return explained(adoptWrapped(directory), directory);
  }

  async killCommand(directory: string, mark: string): Promise<void> {
    const script = Number(await readFile(join(directory, "script.pid"), "utf8").catch(() => "0"));
    await killFamily(() => membersOf(this.record.cgroupsPath), script, mark);
  }

  oomKills(): Promise<number> {
    return oomKills(this.record.cgroupsPath);
  }

  async kill(): Promise<void> {
    if (!isAlive(this.record)) return;
    // The end of a pid namespace's first process ends all of them.
    try {
      process.kill(this.record.pid, "SIGKILL");
    } catch {
      return;
    }
    while (isAlive(this.record)) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  async destroy(): Promise<void> {
    await this.kill();
    await this.#cleanup.run();
  }
}

function explained(running: RunningCommand, directory: string): RunningCommand {
  const earlier = async () => {
    const end = await running.earlier();
    return end && explain(end, directory);
  };
  return { ...running, earlier, end: running.end.then((end) => explain(end, directory)) };
}

/** A runtime that could not start the command says so in its log and leaves no pid file. */
async function explain(end: CommandEnd, directory: string): Promise<CommandEnd> {
  if ("failed" in end || end.exitCode === 0) return end;
  const started = await readFile(join(directory, "script.pid"), "utf8").catch(() => "");
  if (started) return end;
  const log = await readFile(join(directory, "runtime.log"), "utf8").catch(() => "");
  return { failed: "start_failed", message: log.trim().slice(-500) || "the runtime did not start the script" };
}

/** Start time of a process, or "" when there is none; zombies count as gone. */
export function startTimeOf(pid: number): string {
  const stat = statOf(pid);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? "" : (fields[19] ?? "");
}

function statOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return "";
  }
}

export const isAlive = (record: ContainerRecord): boolean =>
  record.startTime !== "" && startTimeOf(record.pid) === record.startTime;
