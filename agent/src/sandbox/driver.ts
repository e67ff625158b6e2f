/**
 * The contract between the agent and what isolates a script. A driver knows how to make, find again and remove
 * sandboxes; it knows nothing of jobs, leases or the server. `driver.conformance.ts` states what every driver must do.
 */
import type { RanBy } from "@mags/protocol";

/** Size of a sandbox. */
export interface SandboxSize {
  /** CPU limit, `cores` */
  vcpus: number;
  /** memory limit without swap, `MiB` */
  memoryMb: number;
  /** writable disk, `GiB` */
  diskGb: number;
}

/** A root file system that sandboxes start from. */
export interface Image {
  name: string;
  digest: string;
  /** directory with natural ids, never written to */
  rootfs: string;
}

/** The disk of a sandbox: a volume file that stays when the sandbox goes, or one of its own that `make` makes. */
export type Disk = { kept: string } | { make(path: string): Promise<void> };

/** A command to run in a sandbox as root; its output goes to the two FIFOs, its exit status to `directory`/exit. */
export interface Command {
  /** directory of this run on the host; holds what outlives the agent */
  directory: string;
  argv: string[];
  env: Record<string, string>;
  cwd: string;
  /** names this start among all of the directory, so that a later process can tell whether it began */
  token: string;
  stdoutFifo: string;
  stderrFifo: string;
}

/** How a command ended: its exit code (128+n for signal n), or why there is none. */
export type CommandEnd =
  | { exitCode: number }
  | { failed: "start_failed" | "supervisor_lost" | "disk_full"; message: string };

/** A command that runs or has ended. */
export interface RunningCommand {
  end: Promise<CommandEnd>;
  /** Its end, if it has ended by now. */
  earlier(): Promise<CommandEnd | undefined>;
  /** To be called when no more output is wanted: until then it is held, across restarts of the agent. */
  release(): Promise<void>;
}

/** A running sandbox. Calls may come in any order and twice; after `destroy` nothing of it is left. */
export interface Sandbox {
  readonly id: string;
  readonly size: SandboxSize;
  readonly image: Image;
  /** directory of this process's mount namespace in which the disk's file system is mounted; none for drivers that mount inside */
  readonly mountedAt: string | undefined;
  /** Puts a file readable by the sandbox's root at `/run/mags/<name>`. */
  place(name: string, content: string): Promise<void>;
  /** Starts a command. Throws when it could not be started. */
  exec(command: Command): Promise<RunningCommand>;
  /** Takes up a command that an earlier agent process started. */
  adoptExec(directory: string): RunningCommand;
  /**
   * Kills the processes that are the command of `directory` or come from it, as far as that can be seen: by its `mark` in
   * their environment, their session or their parents.
   */
  killCommand(directory: string, mark: string): Promise<void>;
  /** Number of processes that the kernel killed in it for want of memory. */
  oomKills(): Promise<number>;
  /** Ends every process in it, at once. */
  kill(): Promise<void>;
  destroy(): Promise<void>;
}

/** Facts about a driver, as they go into a job's record. */
export type DriverFacts = Pick<RanBy, "driver" | "driver_version" | "isolation">;

export interface Driver {
  readonly facts: DriverFacts;
  /** most processes in a sandbox */
  readonly pidsLimit: number;
  /** `disk` is an empty one of its own by default. */
  create(image: Image, size: SandboxSize, disk?: Disk): Promise<Sandbox>;
  /** The sandbox `id` that an earlier agent process made, or undefined when it no longer runs. */
  adopt(id: string): Promise<Sandbox | undefined>;
  /** Removes everything that looks like a sandbox of this agent and is not in `keep`; answers how many things. */
  reclaim(keep: ReadonlySet<string>): Promise<number>;
}
