import { closeSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { emptyFile, run, startProcess } from "@mags/kit";
import { cgroupLayout, hideHybridTree } from "../../sandbox/cgroups.ts";

/** How long a runtime may take to start a container, `ms`. */
const START_MS = 60_000;

/** The OCI runtime on this host and the options that all its calls share. */
export class Runtime {
  readonly path: string;
  /** for example `crun 1.8.1` */
  readonly version: string;
  readonly #stateDir: string;
  readonly #global: string[];
  readonly #startMs: number;

  private constructor(path: string, version: string, stateDir: string, startMs: number) {
    this.path = path;
    this.#startMs = startMs;
    this.version = version;
    this.#stateDir = stateDir;
    this.#global = ["--root", stateDir, ...(version.startsWith("crun") ? ["--cgroup-manager=cgroupfs"] : [])];
  }

  /** `choice`: auto (crun, else runc), or a name or path. Throws when none is there, naming the package to install. */
  static async find(choice: string, stateDir: string, startMs = START_MS): Promise<Runtime> {
    const candidates = choice === "auto" ? ["crun", "runc"] : [choice];
    const problems: string[] = [];
    for (const candidate of candidates) {
      try {
        const version = (await run(candidate, ["--version"])).split("\n")[0] ?? "";
        const name = /(\S+) version (\S+)/.exec(version);
        // crun sees the v2 tree of a hybrid host as a mistake of the host's; runc does not mind.
        if ((await cgroupLayout()) === "hybrid" && candidate.endsWith("crun")) await hideHybridTree();
        return new Runtime(candidate, name ? `${name[1]} ${name[2]}` : version, stateDir, startMs);
      } catch (error) {
        problems.push(`${candidate}: ${(error as Error).message}`);
      }
    }
    throw new Error(`no OCI runtime works here (apt-get install crun): ${problems.join("; ")}`);
  }

  /** The command line of a call, for use in a wrapper. */
  command(args: string[]): string[] {
    return [this.path, ...this.#global, ...args];
  }

  /**
   * The command as it must be given to exec so that the terminal on its streams becomes its own, with job control and
   * signals from keys. runc makes a command the leader of a session, and a leader that opens a terminal has it; crun does not.
   */
  withTerminal(argv: readonly string[]): string[] {
    if (this.version.startsWith("crun")) return ["/usr/bin/setsid", "-c", ...argv];
    return ["/bin/sh", "-c", 'exec </proc/self/fd/0 "$0" "$@"', ...argv];
  }

  /** Starts the container of `bundle` in the background. One that fails may leave processes in its control group. */
  async start(id: string, bundle: string): Promise<void> {
    const log = join(bundle, "runtime.log");
    const args = ["--log", log, "run", "--detach", "--bundle", bundle, "--pid-file", join(bundle, "pid"), id];
    // A container inherits the caller's streams and owns them, so they are none of ours and none of the host's.
    const nothing = emptyFile();
    const { pid, ended } = startProcess(this.path, [...this.#global, ...args], { stdio: [nothing, nothing, nothing] });
    closeSync(nothing);
    const late = new AbortController();
    const end = await Promise.race([ended, delay(this.#startMs, undefined, { signal: late.signal })]);
    late.abort();
    if (end?.exitCode === 0) return;
    // Not waited for: it may be held by the kernel.
    if (!end) process.kill(pid, "SIGKILL");
    const said = await readFile(log, "utf8").catch(() => "");
    const why = end ? "it gave no reason" : `it was not done after ${this.#startMs / 1000} s`;
    throw new Error(`${this.version} could not start a container: ${said.trim().slice(-2000) || why}`);
  }

  /**
   * The system call filter that the runtime compiled for a running container, as the annotation that makes the next one
   * take it as it is: compiling it is the longest single step of a start. Empty where the runtime has no such thing.
   */
  async compiledFilter(id: string): Promise<Record<string, string>> {
    if (!this.version.startsWith("crun")) return {};
    const filter = await readFile(join(this.#stateDir, id, "seccomp.bpf")).catch(() => undefined);
    return filter && filter.length > 0 ? { "run.oci.seccomp_bpf_data": filter.toString("base64") } : {};
  }

  /** Removes what the runtime keeps of a container whose processes have ended; there may be nothing. */
  async forget(id: string): Promise<void> {
    await rm(join(this.#stateDir, id), { recursive: true, force: true });
  }
}
