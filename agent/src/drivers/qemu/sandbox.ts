import { closeSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { type Cleanup, MemoryFile, run } from "@mags/kit";
import type { NetworkPolicy } from "@mags/protocol";
import type { NetworkSlot } from "../../network/index.ts";
import { killCgroup, makeCgroup, usage } from "../../sandbox/cgroups.ts";
import type {
  Command,
  CommandEnd,
  RunningCommand,
  Sandbox,
  Session,
  SessionRequest,
  Usage,
} from "../../sandbox/driver.ts";
import { isAlive, writeRecord } from "../../sandbox/record.ts";
import { environmentOf, ROOT, type User } from "../../sandbox/users.ts";
import { adoptWrapped, startWrapped } from "../../sandbox/wrapper.ts";
import { BOX, enterCommand, newId, scriptText, whyNot } from "./enter.ts";
import type { Guest } from "./guest.ts";
import { LINGERS, lingering } from "./lingering.ts";
import { hostLimits } from "./machine.ts";
import type { Qmp } from "./qmp.ts";
import { connectAgain, dropUplink, endOf, type MachineRecord, netnsOf, read } from "./record.ts";
import { openSession, userOf } from "./session.ts";
import { aloneArgv, clientArgv, type Master } from "./ssh.ts";
import { letRun, suspendMachine } from "./suspend.ts";

/** How long the end of the box may take, what it has not written yet included, before the machine is switched off all the same, `ms`. */
const DOWN_MS = 60_000;
/** How long the kernel of a machine may take to give its file system more space, `ms`. */
const GROW_MS = 60_000;
/** How often it is looked whether a machine lives, and how long QEMU may say nothing, `ms`. */
const WATCH_MS = 1000;
const SILENT_MS = 30_000;
/** The machine's shell, which the SSH server has started for it, does what it is given. */
const FROM_INPUT = ". /proc/self/fd/0";

export interface Parts {
  record: MachineRecord;
  dir: string;
  qmp: Qmp;
  /** the connection there is; a machine of an earlier agent process has none yet */
  guest: Guest | undefined;
  network: NetworkSlot;
  cleanup: Cleanup;
  /** switches the machine off, and everything that lives for it */
  switchOff(): Promise<void>;
}

/** A running virtual machine. */
export class QemuSandbox implements Sandbox {
  readonly mountedAt = undefined;
  readonly ended: Promise<string>;
  #record: MachineRecord;
  readonly #parts: Parts;
  #guest: Guest | undefined;
  #connecting: Promise<Guest> | undefined;
  /** to be placed with the next command */
  readonly #files = new Map<string, string>();
  /** id of the first command, whose control group is there already */
  #ahead: string | undefined;
  /** commands whose connection is the master's, or their own */
  readonly #running = new Set<RunningCommand>();
  /** what a suspension must not meet halfway */
  readonly #underWay = new Set<Promise<unknown>>();
  #killing: Promise<void> | undefined;
  #off: Promise<void> | undefined;
  #silent = false;
  #unwritten: string | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#record = parts.record;
    this.#guest = parts.guest;
    this.ended = this.#watch();
  }

  get id() {
    return this.#record.id;
  }
  get cgroupsPath() {
    return this.#record.cgroupsPath;
  }
  /** what its SSH server is known by, base 64 */
  get hostKey() {
    return this.#record.hostKey;
  }
  get size() {
    return this.#record.size;
  }
  get image() {
    return this.#record.image;
  }
  get unwritten() {
    return this.#unwritten;
  }

  /** For a machine of an earlier agent process: connects, which may fail later as well as now. */
  takeOver(): Promise<void> {
    return this.#wholly(async () => {
      // That process may have ended while it suspended the machine.
      await letRun(this.#parts.qmp);
      await this.#reach();
    });
  }

  async place(name: string, content: string): Promise<void> {
    this.#files.set(name, content);
  }

  async exec(command: Command): Promise<RunningCommand> {
    const { lingers = false } = command;
    const ahead = lingers ? undefined : this.#ahead;
    const id = ahead ?? newId(lingers ? LINGERS : "c");
    if (ahead) this.#ahead = undefined;
    writeFileSync(idPath(command.directory), id, { mode: 0o600 });
    const user = await this.#user(command.user);
    const { cwd = `~:${user.home}`, argv, outlives = false } = command;
    const enter = enterCommand({ id, user, cwd, lingers, outlives, env: environmentOf(user, command), argv });
    // With the files that it needs, so that its start is one message to the machine.
    const input = new MemoryFile(await this.#script(enter));
    try {
      const client = this.#running.size > 0 ? await this.#aloneArgv(FROM_INPUT) : clientArgv(this.#master, FROM_INPUT);
      return this.#explained(startWrapped(command, client, input.fd), command.directory);
    } finally {
      closeSync(input.fd);
    }
  }

  async warmUp(): Promise<void> {
    const [id, ahead] = [newId("w"), newId("c")];
    const env = environmentOf(ROOT, { env: { PATH: "/bin" } });
    const enter = enterCommand({ id, user: ROOT, cwd: "/", env, argv: ["/bin/sh", `/run/mags/${id}`] });
    const [program, ...args] = clientArgv(this.#master, FROM_INPUT) as [string, ...string[]];
    await run(program, args, { input: scriptText(new Map([[id, "true\n"]]), 0, enter) });
    await (await this.#reach()).run(`rm -f /job/${id} /run/exec/${id}.*; mkdir ${BOX}/${ahead}`);
    this.#ahead = ahead;
  }

  adoptExec(directory: string): RunningCommand {
    return this.#explained(adoptWrapped(directory), directory);
  }

  /** A command without an id was never begun. */
  async killCommand(directory: string): Promise<void> {
    const id = read(idPath(directory));
    if (id && this.isRunning()) await (await this.#reach()).run(`box kill ${id}`);
  }

  async open(request: SessionRequest): Promise<Session> {
    const guest = await this.#reach();
    if (this.#files.size > 0) {
      await guest.run(FROM_INPUT, await this.#script("true"));
    }
    return openSession(guest, request);
  }

  async dial(port: number, signal?: AbortSignal): Promise<Duplex> {
    signal?.throwIfAborted();
    const dialling = (await this.#reach()).dial(port);
    if (!signal) return dialling;
    const aborted = new Promise<never>((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
    );
    void dialling.then((channel) => signal.aborted && channel.destroy()).catch(() => undefined);
    return Promise.race([dialling, aborted]);
  }

  whileFrozen<T>(action: () => T): Promise<T> {
    return this.#wholly(async () => {
      const guest = await this.#reach();
      await guest.run("box freeze");
      try {
        return action();
      } finally {
        await guest.run("box thaw").catch(() => undefined);
      }
    });
  }

  async flush(): Promise<void> {
    await (await this.#reach()).run("sync -f /disk");
  }

  grow(bytes: number): Promise<void> {
    return this.#wholly(async () => {
      await this.#parts.qmp.execute("block_resize", { "node-name": "disk", size: bytes });
      await (await this.#reach()).run(`box grow ${bytes}`, "", GROW_MS);
    });
  }

  async limitNetwork(policy: NetworkPolicy): Promise<void> {
    await this.#parts.network.restrict(policy);
    this.#record = { ...this.#record, policy };
    await writeRecord(this.#parts.dir, this.#record);
  }

  sentBytes(): Promise<number> {
    return this.#parts.network.sent();
  }

  async stats(): Promise<Usage> {
    const written = this.#parts.qmp.execute<BlockStats[]>("query-blockstats", {});
    const disk = (await written.catch(() => [])).find(({ "node-name": node }) => node === "disk");
    return { ...(await usage(this.#record.cgroupsPath)), written_bytes: disk?.stats.wr_bytes ?? 0 };
  }

  isRunning(): boolean {
    return this.#killing === undefined && isAlive(this.#record);
  }

  async oomKills(): Promise<number> {
    if (!isAlive(this.#record)) return 0;
    const events = this.#reach().then((guest) => guest.run(`cat ${BOX}/memory.events`));
    return Number(/^oom_kill (\d+)$/m.exec(await events.catch(() => ""))?.[1] ?? 0);
  }

  suspend(to: string): Promise<void> {
    if (!this.isRunning()) return Promise.reject(new Error(`sandbox ${this.id} is gone`));
    const suspended = this.#suspend(to);
    // Its end is our doing from here on.
    this.#killing = suspended.catch(() => this.#kill());
    return suspended;
  }

  async letGo(): Promise<void> {
    await (await this.#reach()).run("box go");
  }

  kill(): Promise<void> {
    this.#killing ??= this.#kill();
    return this.#killing;
  }

  async destroy(): Promise<void> {
    await this.kill();
    await this.#off;
    await this.#parts.cleanup.run();
  }

  async #suspend(to: string): Promise<void> {
    await Promise.allSettled(this.#underWay);
    const guest = await this.#connect();
    try {
      // While there is still somebody in its network.
      dropUplink(this.#record);
      await suspendMachine({ ...this.#parts, record: this.#record }, guest, to);
    } finally {
      // Where that has failed the next one lets all go on, to end it in order.
      guest.close();
    }
    await this.#parts.switchOff();
  }

  /** Does what a suspension waits for. */
  #wholly<T>(work: () => Promise<T>): Promise<T> {
    const done = work();
    this.#underWay.add(done);
    void done.finally(() => this.#underWay.delete(done)).catch(() => undefined);
    return done;
  }

  async #kill(): Promise<void> {
    if (this.#record.kept) this.#unwritten = await this.#down();
    this.#guest?.close();
    this.#off = this.#parts.switchOff();
    this.#off.catch(() => undefined);
    // What a killed process still is takes a while to go, for which nobody waits where no disk stays.
    await (this.#record.kept ? this.#off : killCgroup(this.cgroupsPath));
  }

  /** Leaves the disk whole, with all that was written; answers why not, where the machine no longer does what it is told. */
  async #down(): Promise<string | undefined> {
    if (!isAlive(this.#record)) return endOf(this.#parts);
    if (this.#silent) return "QEMU did not answer";
    await letRun(this.#parts.qmp).catch(() => undefined);
    const goOn = setInterval(() => void this.#goOn().catch(() => undefined), WATCH_MS);
    const down = this.#connect().then((guest) => guest.run("box down", "", DOWN_MS));
    return down
      .then(
        () => undefined,
        (error: Error) => error.message,
      )
      .finally(() => clearInterval(goOn));
  }

  /** A script that places what is to be placed, and then runs `command`. */
  async #script(command: string): Promise<string> {
    const { uid } = await this.#user(this.image.config.user);
    const text = scriptText(this.#files, uid, command);
    this.#files.clear();
    return text;
  }

  /** Root is root whatever the databases say, which spares the look at them. */
  async #user(name: string | null | undefined): Promise<User> {
    return name && name !== "root" ? userOf(await this.#reach(), name) : ROOT;
  }

  /** For a second command at a time, see Guest. */
  async #aloneArgv(command: string): Promise<string[]> {
    const groups = await makeCgroup(this.cgroupsPath, hostLimits(this.size));
    return aloneArgv(this.#master, netnsOf(this.#record), groups, command);
  }

  get #master(): Master {
    return { dir: join(this.#parts.dir, "ssh"), address: this.#record.address };
  }

  async #reach(): Promise<Guest> {
    if (!this.isRunning()) throw new Error(`sandbox ${this.id} is gone`);
    return this.#connect();
  }

  async #connect(): Promise<Guest> {
    if (this.#guest && !this.#guest.closed) return this.#guest;
    this.#connecting ??= connectAgain(this.#record).finally(() => {
      this.#connecting = undefined;
    });
    this.#guest = await this.#connecting;
    return this.#guest;
  }

  #explained(running: RunningCommand, directory: string): RunningCommand {
    const explain = (end: CommandEnd) => this.#explain(end, directory);
    const id = read(idPath(directory));
    const lingers = id.startsWith(LINGERS)
      ? lingering(
          id,
          () => this.#reach(),
          () => this.isRunning(),
        )
      : undefined;
    const earlier = async () => {
      const end = (await running.earlier()) ?? (await lingers?.earlier());
      return end && explain(end);
    };
    this.#running.add(running);
    void running.end.finally(() => this.#running.delete(running)).catch(() => undefined);
    const end = lingers ? Promise.race([running.end, lingers.end(running.end)]) : running.end;
    return { ...running, earlier, end: end.then(explain) };
  }

  /** 255 is what ssh says when it has lost the machine, and `enter` when it has not started the command. */
  async #explain(end: CommandEnd, directory: string): Promise<CommandEnd> {
    if ("failed" in end || end.exitCode !== 255) return end;
    if (this.#killing) return { exitCode: 137 };
    const id = readFileSync(idPath(directory), "utf8");
    try {
      const guest = await this.#reach();
      const message = await whyNot(guest, id);
      if (message !== undefined) return { failed: "start_failed", message };
      if ((await guest.run(`cat /run/exec/${id}.exit`)).trim() === "255") return end;
      return { failed: "machine_ended", message: "the connection to the machine was cut" };
    } catch (error) {
      const why = isAlive(this.#record) ? (error as Error).message : endOf(this.#parts);
      return { failed: "machine_ended", message: why };
    }
  }

  /** QEMU stops a machine whose disk finds no room on the host, and tries the write again when it goes on. */
  async #goOn(): Promise<void> {
    const { qmp } = this.#parts;
    const { status } = await qmp.execute<{ status: string }>("query-status", {}, SILENT_MS);
    if (status === "io-error") await qmp.execute("cont", {}, SILENT_MS);
  }

  /** Answers why the machine ended, when that was none of our doing; else never. */
  async #watch(): Promise<string> {
    let asked = performance.now();
    while (!this.#killing) {
      await delay(WATCH_MS, undefined, { ref: false });
      if (this.#killing) break;
      if (!isAlive(this.#record)) return endOf(this.#parts);
      if (performance.now() - asked < SILENT_MS / 3) continue;
      asked = performance.now();
      const answers = await this.#wholly(() => this.#goOn()).then(
        () => true,
        () => false,
      );
      if (answers || this.#killing || !isAlive(this.#record)) continue;
      this.#silent = true;
      return `QEMU has not answered for ${SILENT_MS / 1000} s`;
    }
    return new Promise(() => undefined);
  }
}

interface BlockStats {
  "node-name"?: string;
  stats: { wr_bytes: number };
}

const idPath = (directory: string) => join(directory, "guest-id");
