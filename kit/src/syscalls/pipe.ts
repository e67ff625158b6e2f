/** splice(2), fcntl(2) and mkfifo(3) through koffi: moving bytes from a pipe into a file in one system call, and descriptors. */
import { check, libc, SyscallError } from "./libc.ts";

const spliceCall = libc.func(
  "long splice(int from, void *fromOffset, int to, int64_t *toOffset, size_t length, unsigned int flags)",
);
const teeCall = libc.func("long tee(int from, int to, size_t length, unsigned int flags)");
const fcntl = libc.func("int fcntl(int fd, int command, int value)");
const pipe2 = libc.func("int pipe2(_Out_ int *ends, int flags)");
const mkfifo = libc.func("int mkfifo(str path, unsigned int mode)");

const SPLICE_F_NONBLOCK = 2;
const F_SETPIPE_SZ = 1031;
const F_DUPFD_CLOEXEC = 1030;
const O_CLOEXEC = 0o2000000;

/**
 * Moves up to `length` bytes from the pipe `from` into the file `to` at `offset`. Answers how many were moved; 0 when
 * the pipe is empty. The bytes leave the pipe and enter the file in the same call, so a process killed at any moment has
 * neither lost nor doubled one.
 */
export function splicePipe(from: number, to: number, offset: number, length: number): number {
  const moved = Number(spliceCall(from, null, to, [offset], length, SPLICE_F_NONBLOCK));
  if (moved >= 0) return moved;
  const error = SyscallError.last("splice");
  if (error.code === "EAGAIN" || error.code === "EINTR") return 0;
  throw error;
}

/** Copies up to `length` bytes of the pipe `from` into the pipe `to`; they stay where they were. Answers how many; 0 when it is empty. */
export function teePipe(from: number, to: number, length: number): number {
  const copied = Number(teeCall(from, to, length, SPLICE_F_NONBLOCK));
  if (copied >= 0) return copied;
  const error = SyscallError.last("tee");
  if (error.code === "EAGAIN" || error.code === "EINTR") return 0;
  throw error;
}

/** Lets the pipe hold up to `bytes`; the kernel rounds up to whole pages. */
export function setPipeSize(fd: number, bytes: number): void {
  check(fcntl(fd, F_SETPIPE_SZ, bytes), "fcntl F_SETPIPE_SZ");
}

/** Makes a named pipe for its owner alone; one that is there already is fine. */
export function makeFifo(path: string): void {
  if (mkfifo(path, 0o600) === 0) return;
  const error = SyscallError.last(`mkfifo ${path}`);
  if (error.code !== "EEXIST") throw error;
}

/** A pipe: [where to read, where to write]; children do not inherit it. */
export function makePipe(): [number, number] {
  const ends: [number, number] = [0, 0];
  check(pipe2(ends, O_CLOEXEC), "pipe2");
  return ends;
}

/** A second descriptor of the same open file or socket; children do not inherit it. */
export function duplicate(fd: number): number {
  return check(fcntl(fd, F_DUPFD_CLOEXEC, 0), "fcntl F_DUPFD_CLOEXEC");
}
