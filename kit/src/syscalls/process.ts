/**
 * Starting processes by posix_spawn(3) instead of fork(2). Node forks, which copies the page tables of the whole program:
 * 5 ms and more in a server that holds 150 MB, with its event loop standing still; posix_spawn shares them until the
 * new program has started, so its cost does not depend on our size.
 * Sources: posix_spawn(3), waitpid(2), memfd_create(2), spawn.h of glibc (sizes of the opaque structures).
 */
import { closeSync, fstatSync, readSync, writeSync } from "node:fs";
import { check, libc, SyscallError } from "./libc.ts";

const posixSpawn = libc.func(
  "int posix_spawnp(_Out_ int *pid, str file, void *actions, void *attributes, str *argv, str *environment)",
);
const actionsInit = libc.func("int posix_spawn_file_actions_init(void *actions)");
const actionsDestroy = libc.func("int posix_spawn_file_actions_destroy(void *actions)");
const addDup2 = libc.func("int posix_spawn_file_actions_adddup2(void *actions, int from, int to)");
const addOpen = libc.func(
  "int posix_spawn_file_actions_addopen(void *actions, int fd, str path, int flags, unsigned int mode)",
);
const addChdir = libc.func("int posix_spawn_file_actions_addchdir_np(void *actions, str path)");
const attributesInit = libc.func("int posix_spawnattr_init(void *attributes)");
const setFlags = libc.func("int posix_spawnattr_setflags(void *attributes, short flags)");
const setSignalDefaults = libc.func("int posix_spawnattr_setsigdefault(void *attributes, void *set)");
const setSignalMask = libc.func("int posix_spawnattr_setsigmask(void *attributes, void *set)");
const waitpid = libc.func("int waitpid(int pid, _Out_ int *status, int options)");
const memfdCreate = libc.func("int memfd_create(str name, unsigned int flags)");
const fcntl = libc.func("int fcntl(int fd, int command, int value)");

/** More than glibc's structures need on any architecture (80, 336 and 128 bytes on x86-64). */
const STRUCT_BYTES = 512;
const SIGSET_BYTES = 128;
const SPAWN_SETSIGDEF = 0x04;
const SPAWN_SETSIGMASK = 0x08;
const SPAWN_SETSID = 0x80;
const WNOHANG = 1;
const O_RDWR = 2;
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** against sealing, shrinking, growing and writing */
const ALL_SEALS = 0xf;
/** Longest pause between two looks for ended children besides every SIGCHLD, which worker threads do not get, `ms`. */
const REAP_MS = 500;

export interface ProcessOptions {
  /** descriptors to be the child's 0, 1, 2, …; null is /dev/null */
  stdio?: readonly (number | null)[];
  /** the whole environment of the child; none by default */
  env?: Readonly<Record<string, string | undefined>>;
  cwd?: string;
  /** a session of its own: it gets no signal of our terminal */
  detached?: boolean;
}

/** How a process ended: exactly one of the two is set. */
export interface ProcessEnd {
  exitCode: number | null;
  /** number of the signal that killed it */
  signal: number | null;
}

const children = new Map<number, (end: ProcessEnd) => void>();
let lastStart = 0;
let nextLook: NodeJS.Timeout | undefined;

/** Starts a program, looked for in PATH. Throws SyscallError with the program's name, ENOENT when there is none. */
export function startProcess(file: string, args: readonly string[], options: ProcessOptions) {
  const actions = Buffer.alloc(STRUCT_BYTES);
  const attributes = Buffer.alloc(STRUCT_BYTES);
  const said = (code: number, call: string) => {
    if (code !== 0) throw new SyscallError(call, code);
  };
  said(actionsInit(actions), "posix_spawn_file_actions_init");
  try {
    for (const [target, fd] of (options.stdio ?? [null, null, null]).entries()) {
      if (fd === null) said(addOpen(actions, target, "/dev/null", O_RDWR, 0), "posix_spawn_file_actions_addopen");
      else said(addDup2(actions, fd, target), "posix_spawn_file_actions_adddup2");
    }
    if (options.cwd !== undefined) said(addChdir(actions, options.cwd), "posix_spawn_file_actions_addchdir_np");
    said(attributesInit(attributes), "posix_spawnattr_init");
    // Node ignores SIGPIPE; a child would inherit that.
    setSignalDefaults(attributes, Buffer.alloc(SIGSET_BYTES, 0xff));
    setSignalMask(attributes, Buffer.alloc(SIGSET_BYTES));
    setFlags(attributes, SPAWN_SETSIGDEF | SPAWN_SETSIGMASK | (options.detached ? SPAWN_SETSID : 0));
    const environment = Object.entries(options.env ?? {}).flatMap(([key, value]) =>
      value === undefined ? [] : [`${key}=${value}`],
    );
    const pid: [number] = [0];
    said(posixSpawn(pid, file, actions, attributes, [file, ...args, null], [...environment, null]), file);
    return { pid: pid[0], ended: endOf(pid[0]) };
  } finally {
    actionsDestroy(actions);
  }
}

function endOf(pid: number): Promise<ProcessEnd> {
  if (children.size === 0) process.on("SIGCHLD", reap);
  lastStart = performance.now();
  clearTimeout(nextLook);
  lookLater();
  return new Promise((resolve) => children.set(pid, resolve));
}

function reap(): void {
  for (const [pid, resolve] of children) {
    const status: [number] = [0];
    if (waitpid(pid, status, WNOHANG) === 0) continue;
    children.delete(pid);
    const signal = status[0] & 0x7f;
    resolve(signal === 0 ? { exitCode: (status[0] >> 8) & 0xff, signal: null } : { exitCode: null, signal });
  }
  clearTimeout(nextLook);
  if (children.size > 0) lookLater();
  else process.removeListener("SIGCHLD", reap);
}

/** Soon after a start, then ever more seldom. */
function lookLater(): void {
  nextLook = setTimeout(reap, Math.min(REAP_MS, Math.max(1, (performance.now() - lastStart) / 4)));
}

/**
 * An empty file that nobody can fill: input for a process that is given its standard streams to own, as OCI runtimes do.
 * The host's /dev/null must not be given away like that: it is one for all.
 */
export function emptyFile(): number {
  const fd = check(memfdCreate("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create");
  check(fcntl(fd, F_ADD_SEALS, ALL_SEALS), "fcntl F_ADD_SEALS");
  return fd;
}

/** A file in memory without a name: what a process reads or writes when nobody needs it while it runs. */
export class MemoryFile {
  readonly fd: number;

  constructor(content = "") {
    this.fd = check(memfdCreate("mags", MFD_CLOEXEC), "memfd_create");
    // At offset 0, so that the descriptor's own position stays at the start.
    if (content !== "") writeAll(this.fd, Buffer.from(content));
  }

  text(): string {
    const bytes = Buffer.alloc(fstatSync(this.fd).size);
    for (let at = 0; at < bytes.length; ) {
      const count = readSync(this.fd, bytes, at, bytes.length - at, at);
      if (count === 0) break;
      at += count;
    }
    return bytes.toString("utf8");
  }

  close(): void {
    closeSync(this.fd);
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, at);
}
