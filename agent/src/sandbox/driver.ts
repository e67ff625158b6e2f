/**
 * The contract between the agent and what isolates a script. A driver knows how to make, find again and remove
 * sandboxes; it knows nothing of jobs, leases or the server. `driver.conformance.ts` states what every driver must do.
 */
import type { Duplex, Readable, Writable } from "node:stream";
import type { CreateJob, NetworkPolicy, RanBy, Trace } from "@mags/protocol";

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
  config: ImageConfig;
}

/** What an image wants for the commands in it; nothing of it is trusted. */
export interface ImageConfig {
  /** under the variables of the job */
  env: Record<string, string>;
  /** null: the home of the user */
  workdir: string | null;
  /** `name`, `uid` or `uid:gid`; null: root */
  user: string | null;
  /** what scripts are run by, see ENTRYPOINT of a Dockerfile */
  entrypoint: string[];
}

/** The disk of a sandbox: a volume file that stays when the sandbox goes, or one of its own that `make` makes. `log` is for people. */
export type Disk = ({ kept: string } | { make(path: string): Promise<void> }) & { log?(line: string): void };

/** A command to run in a sandbox; its output goes to the two FIFOs, its exit status to `directory`/exit. */
export interface Command {
  /** directory of this run on the host; holds what outlives the agent */
  directory: string;
  argv: string[];
  env: Record<string, string>;
  /** home of the user by default */
  cwd?: string | undefined;
  /** as in SessionRequest; another than root gets HOME, USER, LOGNAME and SHELL of its own */
  user?: string | undefined;
  /** names this start among all of the directory, so that a later process can tell whether it began */
  token: string;
  /** what it leaves in the background goes on printing after its end, for as long as the sandbox lives */
  lingers?: boolean;
  /** likewise, and all of it goes on when nobody takes what it prints any more: after `Driver.resume` */
  outlives?: boolean;
  stdoutFifo: string;
  stderrFifo: string;
}

/** How a command ended: its exit code (128+n for signal n), or why there is none. */
export type CommandEnd =
  | { exitCode: number }
  | {
      failed: "start_failed" | "image_unavailable" | "supervisor_lost" | "disk_full" | "machine_ended";
      message: string;
    };

/** A command that runs or has ended. */
export interface RunningCommand {
  end: Promise<CommandEnd>;
  /** Its end, if it has ended by now. */
  earlier(): Promise<CommandEnd | undefined>;
  /** To be called when no more output is wanted: until then it is held, across restarts of the agent. */
  release(): Promise<void>;
}

/** A command for somebody who is there, with three streams or in a terminal. It ends with its caller. */
export interface SessionRequest {
  argv: readonly string[];
  /** over HOME, USER, LOGNAME and SHELL, which come with the user, and TERM of a terminal */
  env: Readonly<Record<string, string>>;
  /** home of the user by default */
  cwd?: string | undefined;
  /** name, or numbers as `uid` or `uid:gid`, as the sandbox knows them; root by default */
  user?: string | undefined;
  tty?: { cols: number; rows: number; term: string } | undefined;
}

/** How a session ended; `error` says why its command could not be started, then there is no exit code. */
export interface SessionEnd {
  exit_code: number | null;
  signal: string | null;
  error: string | null;
}

/** A command that runs in a sandbox. Its streams may end before or after it does; they must be read. */
export interface Session {
  /** its end is the end of the command's input; in a terminal it types Ctrl-D */
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** null in a terminal, where all output is one */
  readonly stderr: Readable | null;
  readonly exit: Promise<SessionEnd>;
  resize(cols: number, rows: number): void;
  /** Sends a signal to every process of the session. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** The caller left: closes the streams and sends SIGHUP to what is left of the session, as a closed line does. Never throws. */
  hangUp(): Promise<void>;
}

/** What cannot be done in this sandbox because of how it was asked for; the message says why. */
export class SessionRefused extends Error {
  override readonly name = "SessionRefused";
}

/** The sandbox has ended by itself before it could be used: another one may do. */
export class SandboxDied extends Error {
  override readonly name = "SandboxDied";
}

/** What a sandbox has used since it was made, and its memory now. */
export interface Usage {
  /** CPU time, `ns` */
  cpu_ns: number;
  memory_bytes: number;
  /** written to its disk, as far as the kernel has passed it on */
  written_bytes: number;
}

/** A running sandbox. Calls may come in any order and twice; after `destroy` nothing of it is left. */
export interface Sandbox {
  readonly id: string;
  readonly size: SandboxSize;
  readonly image: Image;
  /** directory of this process's mount namespace in which the disk's file system is mounted; none for drivers that mount inside */
  readonly mountedAt: string | undefined;
  /**
   * Holds the disk still while `action`, which is quick, copies it: all that was written before is in it then. For drivers whose
   * disk is not mounted here.
   */
  whileFrozen?<T>(action: () => T): Promise<T>;
  /** Writes to the disk's file what is still on its way there. For the same drivers. */
  flush?(): Promise<void>;
  /** Gives the disk so many bytes, under those who use it. For the same drivers. */
  grow?(bytes: number): Promise<void>;
  /**
   * Does once what every script needs, and leaves nothing of it, so that the first script is not the slowest. For drivers whose
   * sandboxes begin cold.
   */
  warmUp?(): Promise<void>;
  /** Puts a file readable by the user of the sandbox's image at `/run/mags/<name>`. */
  place(name: string, content: string): Promise<void>;
  /** Starts a command. Throws when it could not be started. */
  exec(command: Command): Promise<RunningCommand>;
  /** Takes up a command that an earlier agent process started. */
  adoptExec(directory: string): RunningCommand;
  /**
   * Kills the processes that are the command of `directory` or come from it, as far as that can be seen: by its `mark` in
   * their environment, their session or their parents. Where it has ended or was never begun, there is nothing to do.
   */
  killCommand(directory: string, mark: string): Promise<void>;
  /** Starts a command for somebody who is there. Throws SessionRefused, or Error when the sandbox is gone. */
  open(request: SessionRequest): Promise<Session>;
  /** Connects to a TCP port inside, also of a service that listens on loopback only. Throws as `net.connect` fails, or AbortError. */
  dial(port: number, signal?: AbortSignal): Promise<Duplex>;
  /**
   * The same as a bare descriptor, which the caller closes: who is given it talks to the sandbox without the agent in between.
   * Only where a connection is one of this machine's own.
   */
  dialDescriptor?(port: number, signal?: AbortSignal): Promise<number>;
  /** Lets it reach less from now on; holds for as long as it lives, also while no agent is there. */
  limitNetwork(policy: NetworkPolicy): Promise<void>;
  stats(): Promise<Usage>;
  /** IP packets that it has sent to other hosts since it was made, `bytes`; also asked when all in it has ended. */
  sentBytes(): Promise<number>;
  /** Whether its first process is there; without it everything in it has ended. */
  isRunning(): boolean;
  /** Resolves with the reason when it ends, or fails, by itself; drivers that cannot tell leave it out. */
  readonly ended?: Promise<string>;
  /** Number of processes that the kernel killed in it for want of memory. */
  oomKills(): Promise<number>;
  /** Ends every process in it, at once. */
  kill(): Promise<void>;
  /** After `kill`: why its disk, which stays, may lack what was written before. For drivers whose disk is not mounted here. */
  readonly unwritten?: string | undefined;
  /**
   * As `kill`, but all that goes on in it, memory included, is written to the directory `to` first, for `Driver.resume` with the disk
   * as it is then. Throws where that cannot be done; then it ends as by `kill`, which waits for that.
   */
  suspend?(to: string): Promise<void>;
  /** After `Driver.resume`: lets the processes go on. */
  letGo?(): Promise<void>;
  destroy(): Promise<void>;
}

/** Facts about a driver, as they go into a job's record. */
export type DriverFacts = Pick<RanBy, "driver" | "driver_version" | "isolation">;

/** What will be a sandbox when it is known with which disk; all but that is done. */
export interface Ready {
  isRunning(): boolean;
  /** Once; it is gone when that throws. Throws SandboxDied when it has ended by itself. */
  use(size: SandboxSize, disk?: Disk): Promise<Sandbox>;
  discard(): Promise<void>;
}

/** Where and how a suspended sandbox is taken up. */
export interface Resuming {
  /** directory that `Sandbox.suspend` has written */
  from: string;
  image: Image;
  size: SandboxSize;
  /** its disk, of the same bytes as then */
  kept: string;
}

export interface Driver {
  readonly facts: DriverFacts;
  /** most processes in a sandbox */
  readonly pidsLimit: number;
  /** `disk` is an empty one of its own by default. */
  create(image: Image, size: SandboxSize, disk?: Disk): Promise<Sandbox>;
  /** Takes a sandbox up that was suspended, its processes held until `letGo`. Throws where that cannot be done; the disk may have been written to. */
  resume?(resuming: Resuming): Promise<Sandbox>;
  /** Does what of `create` does not depend on the disk; drivers for which that is little leave it out. `signal` gives up. */
  prepare?(image: Image, size: SandboxSize, signal?: AbortSignal): Promise<Ready>;
  /** The sandbox `id` that an earlier agent process made, or undefined when it no longer runs. */
  adopt(id: string): Promise<Sandbox | undefined>;
  /** Removes everything that looks like a sandbox of this agent and is not in `keep`; answers how many things. */
  reclaim(keep: ReadonlySet<string>): Promise<number>;
  /** Everything on the machine that bears the name of a sandbox of this agent, and whether one that lives has it. */
  traces?(): Promise<Trace[]>;
  /** Takes away a trace, with all others of the same sandbox; one that lives is let be. */
  removeTrace?(trace: Pick<Trace, "kind" | "name">): Promise<void>;
}

/** The drivers of a node. */
export interface Drivers {
  readonly all: readonly Driver[];
  /** What a job runs in. Throws when the node has not got what it asks for. */
  for(job: Pick<CreateJob, "runtime" | "isolation" | "sleep">): Driver;
  adopt(id: string): Promise<Sandbox | undefined>;
  reclaim(keep: ReadonlySet<string>): Promise<number>;
}
