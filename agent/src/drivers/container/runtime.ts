import { join } from "node:path";
import { run, spawn } from "@mags/kit";
import { cgroupLayout, hideHybridTree } from "./cgroups.ts";

/** The OCI runtime on this host and the options that all its calls share. */
export class Runtime {
  readonly path: string;
  /** for example `crun 1.8.1` */
  readonly version: string;
  readonly #global: string[];

  private constructor(path: string, version: string, stateDir: string) {
    this.path = path;
    this.version = version;
    this.#global = ["--root", stateDir, ...(version.startsWith("crun") ? ["--cgroup-manager=cgroupfs"] : [])];
  }

  /** `choice`: auto (crun, else runc), or a name or path. Throws when none is there, naming the package to install. */
  static async find(choice: string, stateDir: string): Promise<Runtime> {
    const candidates = choice === "auto" ? ["crun", "runc"] : [choice];
    const problems: string[] = [];
    for (const candidate of candidates) {
      try {
        const version = (await run(candidate, ["--version"])).split("\n")[0] ?? "";
        const name = /(\S+) version (\S+)/.exec(version);
        // crun sees the v2 tree of a hybrid host as a mistake of the host's; runc does not mind.
        if ((await cgroupLayout()) === "hybrid" && candidate.endsWith("crun")) await hideHybridTree();
        return new Runtime(candidate, name ? `${name[1]} ${name[2]}` : version, stateDir);
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

  async call(args: string[]): Promise<string> {
    return run(this.path, [...this.#global, ...args]);
  }

  /** Starts the container of `bundle` in the background; answers the pid of its first process. */
  async start(id: string, bundle: string): Promise<void> {
    // A container inherits the caller's stdio; with pipes the call would not end before the container does.
    const log = join(bundle, "runtime.log");
    const child = spawn(
      this.path,
      [...this.#global, "--log", log, "run", "--detach", "--bundle", bundle, "--pid-file", join(bundle, "pid"), id],
      { stdio: ["ignore", "ignore", "ignore"], reject: false },
    );
    const result = await child;
    if (result.failed) {
      const said = await run("tail", ["-c", "2000", log]).catch(() => "");
      throw new Error(`${this.version} could not start a container: ${said || result.message}`);
    }
  }
}
