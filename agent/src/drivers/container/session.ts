import { closeSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startProcess } from "@mags/kit";
import type { Session, SessionEnd, SessionRequest } from "../../sandbox/driver.ts";
import { signalOf } from "../../sandbox/exit-code.ts";
import { membersOf } from "./cgroups.ts";
import { type Line, pipes, terminal } from "./lines.ts";
import { statFields } from "./processes.ts";
import type { Runtime } from "./runtime.ts";
import { processConfig } from "./spec.ts";
import { findUser, hasDirectory, type User } from "./users.ts";

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
let lastNumber = 0;

/** Starts a session through the runtime's exec. Throws SessionRefused or SyscallError. */
export function openSession(place: Place, request: SessionRequest): Session {
  const user = findUser(place.root, request.user ?? "root");
  const owner = place.idBase + user.uid;
  const line = request.tty ? terminal(place.root, owner, request.tty) : pipes(owner);
  const files = new SessionFiles(place.dir, ++lastNumber);
  try {
    files.writeProcess(processOf(place, request, user));
    const [file = "", ...args] = place.runtime.command([...files.execOptions, place.id]);
    const { ended } = startProcess(file, args, { stdio: line.theirs, detached: true });
    const exit = ended.then(({ exitCode }) => files.endOf(exitCode));
    return new ContainerSession(place, files, line, exit);
  } catch (error) {
    line.close();
    throw error;
  } finally {
    for (const fd of new Set(line.theirs)) closeSync(fd);
  }
}

/** Ends what an earlier agent process has left of its sessions, as a closed line does. */
export async function hangUpSessions(place: Pick<Place, "dir" | "cgroupsPath">): Promise<void> {
  const dir = sessionsIn(place.dir);
  for (const name of await readdir(dir).catch(() => [])) {
    if (name.endsWith(".pid")) await signalSession(place.cgroupsPath, Number(textOf(join(dir, name))), "SIGHUP");
  }
  await rm(dir, { recursive: true, force: true });
}

class ContainerSession implements Session {
  readonly exit: Promise<SessionEnd>;
  readonly #place: Place;
  readonly #files: SessionFiles;
  readonly #line: Line;
  #ended = false;

  constructor(place: Place, files: SessionFiles, line: Line, exit: Promise<SessionEnd>) {
    this.#place = place;
    this.#files = files;
    this.#line = line;
    this.exit = exit;
    void exit.then(() => {
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
    this.#line.close();
    await this.kill("SIGHUP");
  }
}

/** What lies on the host for a session: its description for the runtime, and the runtime's words about it. */
class SessionFiles {
  readonly #base: string;

  constructor(dir: string, number: number) {
    mkdirSync(sessionsIn(dir), { recursive: true, mode: 0o700 });
    this.#base = join(sessionsIn(dir), String(number));
  }

  get execOptions() {
    const [log, process, pid] = ["log", "json", "pid"].map((kind) => `${this.#base}.${kind}`) as [
      string,
      string,
      string,
    ];
    return ["--log", log, "exec", "--process", process, "--pid-file", pid];
  }

  writeProcess(config: object): void {
    writeFileSync(`${this.#base}.json`, JSON.stringify(config), { mode: 0o600 });
  }

  /** Of the command on the host; 0 while the runtime has not started it. */
  get pid(): number {
    return Number(textOf(`${this.#base}.pid`));
  }

  /** Synchronous like all here: on a file system in memory a call takes less than a turn through the thread pool. */
  endOf(exitCode: number | null): SessionEnd {
    const started = this.pid !== 0;
    const error = started ? null : textOf(`${this.#base}.log`).trim().slice(-500) || "the command could not be started";
    for (const kind of ["json", "pid", "log"]) rmSync(`${this.#base}.${kind}`, { force: true });
    if (!started || exitCode === null) return { exit_code: null, signal: null, error };
    return { exit_code: exitCode, signal: signalOf(exitCode), error };
  }
}

function processOf(place: Place, request: SessionRequest, user: User) {
  const home = hasDirectory(place.root, user.home) ? user.home : "/";
  const env = {
    HOME: user.home,
    USER: user.name,
    LOGNAME: user.name,
    SHELL: user.shell,
    ...(request.tty ? { TERM: request.tty.term } : {}),
    ...request.env,
  };
  const argv = request.tty ? place.runtime.withTerminal(request.argv) : [...request.argv];
  return processConfig(argv, env, request.cwd ?? home, user);
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
