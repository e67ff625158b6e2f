import { once } from "node:events";
import { chmodSync, chownSync, closeSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { Socket } from "node:net";
import { join } from "node:path";
import { type Cleanup, duplicate, inNetns, openSocket } from "@mags/kit";
import type { NetworkPolicy } from "@mags/protocol";
import type { NetworkSlot } from "../../network/index.ts";
import { membersOf, oomKills, usage } from "../../sandbox/cgroups.ts";
import type {
  Command,
  CommandEnd,
  RunningCommand,
  Sandbox,
  Session,
  SessionRequest,
  Usage,
} from "../../sandbox/driver.ts";
import { isAlive, type SandboxRecord, writeRecord } from "../../sandbox/record.ts";
import { databasesIn, environmentOf, findUser, homeIn, ROOT, type User } from "../../sandbox/users.ts";
import { adoptWrapped, startWrapped } from "../../sandbox/wrapper.ts";
import { writtenBytes } from "./disk.ts";
import { killFamily } from "./family.ts";
import { diskAt } from "./root.ts";
import type { Runtime } from "./runtime.ts";
import { hangUpSessions, Sessions } from "./session.ts";
import { processConfig } from "./spec.ts";

/** What is written down of a container. */
export interface ContainerRecord extends SandboxRecord {
  slot: number;
  idBase: number;
}

/** A running container. */
export class ContainerSandbox implements Sandbox {
  readonly record: ContainerRecord;
  readonly #runtime: Runtime;
  readonly #dir: string;
  readonly #network: NetworkSlot;
  readonly #cleanup: Cleanup;
  readonly #sessions: Sessions;

  constructor(record: ContainerRecord, runtime: Runtime, dir: string, network: NetworkSlot, cleanup: Cleanup) {
    this.record = record;
    this.#runtime = runtime;
    this.#dir = dir;
    this.#network = network;
    this.#cleanup = cleanup;
    const { id, idBase, cgroupsPath, pid } = record;
    this.#sessions = new Sessions({ id, dir, root: `/proc/${pid}/root`, idBase, cgroupsPath, runtime });
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
    const owner = this.record.idBase + this.#user(this.image.config.user).uid;
    writeFileSync(path, content, { mode: 0o400 });
    chownSync(path, owner, this.record.idBase);
  }

  async exec(command: Command): Promise<RunningCommand> {
    const { directory } = command;
    // Scripts open their streams by name, too (/dev/stderr), also as other users of the machine.
    for (const fifo of [command.stdoutFifo, command.stderrFifo]) {
      chownSync(fifo, this.record.idBase, this.record.idBase);
      chmodSync(fifo, 0o622);
    }
    const process = join(directory, "process.json");
    const user = this.#user(command.user);
    const cwd = command.cwd ?? homeIn(this.#root, user);
    const config = processConfig(command.argv, environmentOf(user, command), cwd, user);
    writeFileSync(process, JSON.stringify(config), { mode: 0o600 });
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

  async open(request: SessionRequest): Promise<Session> {
    this.#mustLive();
    return this.#sessions.open(request);
  }

  /** Its root directory as the host sees it. */
  get #root() {
    return `/proc/${this.record.pid}/root`;
  }

  /** For scripts root is root whatever the databases say: what they find does not depend on who was there before. */
  #user(name: string | null | undefined): User {
    return name && name !== "root" ? findUser(databasesIn(this.#root), name) : ROOT;
  }

  /** What an earlier agent process had open ended with it. */
  hangUpSessions(): Promise<void> {
    return hangUpSessions({ dir: this.#dir, cgroupsPath: this.record.cgroupsPath });
  }

  async dial(port: number, signal?: AbortSignal): Promise<Socket> {
    return connected(this.#socketInside(), port, signal);
  }

  async dialDescriptor(port: number, signal?: AbortSignal): Promise<number> {
    const fd = this.#socketInside();
    const kept = duplicate(fd);
    try {
      (await connected(fd, port, signal)).destroy();
      return kept;
    } catch (error) {
      closeSync(kept);
      throw error;
    }
  }

  async limitNetwork(policy: NetworkPolicy): Promise<void> {
    await this.#network.restrict(policy);
    await writeRecord(this.#dir, { ...this.record, policy });
  }

  sentBytes(): Promise<number> {
    return this.#network.sent();
  }

  async stats(): Promise<Usage> {
    const { cgroupsPath, volume } = this.record;
    return { ...(await usage(cgroupsPath)), written_bytes: await writtenBytes(volume) };
  }

  #socketInside(): number {
    return inNetns(`/proc/${this.record.pid}/ns/net`, () => {
      // Now that the namespace is held: its name may have come to mean another process's.
      this.#mustLive();
      return openSocket("tcp");
    });
  }

  #mustLive(): void {
    if (!isAlive(this.record)) throw new Error(`sandbox ${this.id} is gone`);
  }

  isRunning(): boolean {
    return isAlive(this.record);
  }

  oomKills(): Promise<number> {
    return oomKills(this.record.cgroupsPath);
  }

  async kill(): Promise<void> {
    this.#sessions.close();
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

async function connected(fd: number, port: number, signal: AbortSignal | undefined): Promise<Socket> {
  const socket = new Socket({ fd, allowHalfOpen: true });
  try {
    socket.connect({ host: "127.0.0.1", port });
    await once(socket, "connect", { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
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
