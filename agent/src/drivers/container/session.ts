import { closeSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { makePipe, startProcess } from "@mags/kit";
import { membersOf } from "../../sandbox/cgroups.ts";
import type { Session, SessionEnd, SessionRequest } from "../../sandbox/driver.ts";
import { signalOf } from "../../sandbox/exit-code.ts";
import { statFields } from "../../sandbox/processes.ts";
import { databasesIn, environmentOf, findUser, homeIn, type User } from "../../sandbox/users.ts";
import { type Line, type Pipes, pipes, terminal } from "./lines.ts";
import type { Runtime } from "./runtime.ts";
import { processConfig } from "./spec.ts";

/** The container that sessions are opened in. */
export interface Place {
  id: string;
  /** its directory on the host */
  dir: string;
  /** its root directory as the host sees it */
  root: string;
  /** host id of its root user */
  idBase: number;
  cgroupsPath: string;
  runtime: Runtime;
}

const POLL_MS = 5;
/** Descriptor on which the runtime is told what to run. */
const ORDERS_FD = 3;
/** How long a runner is kept for the next session, `ms` */
const SPARE_MS = 30_000;
let lastNumber = 0;

/**
 * Sessions of one container, through the runtime's exec. Half of what an exec takes is the start of the runtime's own program, so
 * after a session the next runner is started ahead. It waits outside of the container until it is told what to run.
 */
export class Sessions {
  readonly #place: Place;
  #spare: Runner<Pipes> | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(place: Place) {
    this.#place = place;
  }

  /** Throws SessionRefused or SyscallError. */
  open(request: SessionRequest): Session {
    const { root, idBase, runtime } = this.#place;
    const user = findUser(databasesIn(root), request.user ?? "root");
    const config = processOf(root, runtime, request, user);
    const owner = idBase + user.uid;
    if (request.tty)
      return new ContainerSession(this.#place, new Runner(this.#place, terminal(root, owner, request.tty)), config);
    const runner = this.#takeSpare() ?? new Runner(this.#place, pipes());
    runner.line.giveTo(owner);
    const session = new ContainerSession(this.#place, runner, config);
    void session.exit.then(() => this.#prepare());
    return session;
  }

  /** Ends what waits for further sessions. */
  close(): void {
    this.#closed = true;
    this.#takeSpare()?.abandon();
  }

  #prepare(): void {
    if (this.#closed || this.#spare) return;
    try {
      this.#spare = new Runner(this.#place, pipes());
    } catch {
      // The next session tries for itself, and tells whoever asked for it.
      return;
    }
    this.#expiry = setTimeout(() => this.#takeSpare()?.abandon(), SPARE_MS).unref();
  }

  #takeSpare(): Runner<Pipes> | undefined {
    const spare = this.#spare;
    this.#spare = undefined;
    clearTimeout(this.#expiry);
    return spare?.hasEnded ? undefined : spare;
  }
}

/** A process of the runtime that runs one command in the container: the one that it reads, to its end, from descriptor 3. */
class Runner<L extends Line> {
  readonly line: L;
  readonly files: SessionFiles;
  readonly ended: Promise<number | null>;
  hasEnded = false;
  readonly #orders: Socket;

  constructor(place: Place, line: L) {
    this.line = line;
    this.files = new SessionFiles(place.dir, ++lastNumber);
    const [reader, writer] = makePipe();
    const [file = "", ...args] = place.runtime.command([...this.files.execOptions(ORDERS_FD), place.id]);
    try {
      const { ended } = startProcess(file, args, { stdio: [...line.theirs, reader], detached: true });
      this.ended = ended.then(({ exitCode }) => {
        this.hasEnded = true;
        return exitCode;
      });
    } catch (error) {
      line.close();
      closeSync(writer);
      throw error;
    } finally {
      for (const fd of new Set([...line.theirs, reader])) closeSync(fd);
    }
    this.#orders = new Socket({ fd: writer, readable: false, writable: true });
    // A runtime that fails early reads none.
    this.#orders.on("error", () => undefined);
  }

  run(config: object): Promise<SessionEnd> {
    this.#orders.end(JSON.stringify(config));
    return this.ended.then((exitCode) => this.files.endOf(exitCode));
  }

  /** Told nothing, it ends by itself; as it does when the agent is killed. */
  abandon(): void {
    this.#orders.destroy();
    this.line.close();
    void this.ended.then(() => this.files.remove());
  }
}

/** Ends what an earlier agent process has left of its sessions, as a closed line does. */
export async function hangUpSessions(place: Pick<Place, "dir" | "cgroupsPath">): Promise<void> {
  const dir = sessionsIn(place.dir);
  for (const name of await readdir(dir).catch(() => [])) {
    if (name.endsWith(".pid")) await signalSession(place.cgroupsPath, Number(textOf(join(dir, name))), "SIGHUP");
  }
  // A runtime that is just beginning may still write there.
  await rm(dir, { recursive: true, force: true, maxRetries: 5 });
}

class ContainerSession implements Session {
  readonly exit: Promise<SessionEnd>;
  readonly #place: Place;
  readonly #files: SessionFiles;
  readonly #line: Line;
  #ended = false;

  constructor(place: Place, runner: Runner<Line>, config: object) {
    this.#place = place;
    this.#files = runner.files;
    this.#line = runner.line;
    this.exit = runner.run(config);
    void this.exit.then(() => {
      this.#ended = true;
    });
  }

  get stdin() {
    return this.#line.stdin;
  }
  get stdout() {
    return this.#line.stdout;
  }
  get stderr() {
    return this.#line.stderr;
  }

  resize(cols: number, rows: number): void {
    this.#line.resize(cols, rows);
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    // The runtime says soon who the command is, unless it cannot start it.
    while (!this.#ended && this.#files.pid === 0) await delay(POLL_MS);
    if (!this.#ended) await signalSession(this.#place.cgroupsPath, this.#files.pid, signal);
  }

  async hangUp(): Promise<void> {
    this.#line.leave();
    await this.kill("SIGHUP").catch(() => undefined);
  }
}

/** What lies on the host for a session: the runtime's words about it. */
class SessionFiles {
  readonly #base: string;

  constructor(dir: string, number: number) {
    mkdirSync(sessionsIn(dir), { recursive: true, mode: 0o700 });
    this.#base = join(sessionsIn(dir), String(number));
  }

  execOptions(ordersFd: number) {
    const [log, pid] = [`${this.#base}.log`, `${this.#base}.pid`];
    return ["--log", log, "exec", "--process", `/proc/self/fd/${ordersFd}`, "--pid-file", pid];
  }

  /** Of the command on the host; 0 while the runtime has not started it. */
  get pid(): number {
    return Number(textOf(`${this.#base}.pid`));
  }

  /** Synchronous like all here: on a file system in memory a call takes less than a turn through the thread pool. */
  endOf(exitCode: number | null): SessionEnd {
    const started = this.pid !== 0;
    const error = started ? null : textOf(`${this.#base}.log`).trim().slice(-500) || "the command could not be started";
    this.remove();
    if (!started || exitCode === null) return { exit_code: null, signal: null, error };
    return { exit_code: exitCode, signal: signalOf(exitCode), error };
  }

  remove(): void {
    for (const kind of ["pid", "log"]) rmSync(`${this.#base}.${kind}`, { force: true });
  }
}

function processOf(root: string, runtime: Runtime, request: SessionRequest, user: User) {
  const argv = request.tty ? runtime.withTerminal(request.argv) : [...request.argv];
  return processConfig(argv, environmentOf(user, request), request.cwd ?? homeIn(root, user), user);
}

/** Signals every process in the session of `pid`, as long as that is one of the container's. */
async function signalSession(cgroupsPath: string, pid: number, signal: NodeJS.Signals): Promise<void> {
  const pids = await membersOf(cgroupsPath);
  if (!pids.includes(pid)) return;
  const session = statFields(pid).session;
  for (const member of pids) {
    if (statFields(member).session !== session) continue;
    try {
      process.kill(member, signal);
    } catch {
      // gone between the look and the signal
    }
  }
}

const sessionsIn = (dir: string) => join(dir, "sessions");

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
