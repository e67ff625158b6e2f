import { getSystemErrorName } from "node:util";
import koffi from "koffi";

/** The C library, through which this folder makes its system calls. */
export const libc = koffi.load("libc.so.6");

/** A failed system call; `code` is the errno's name, such as EPERM. */
export class SyscallError extends Error {
  override readonly name = "SyscallError";
  readonly code: string;

  constructor(call: string, errno: number) {
    const code = getSystemErrorName(-errno);
    super(`${call}: ${code}`);
    this.code = code;
  }

  /** The error of the call that has just failed. */
  static last(call: string): SyscallError {
    return new SyscallError(call, koffi.errno());
  }
}

/** Answers `result`, or throws SyscallError when it is negative; `call` says what was tried. */
export function check(result: number | bigint, call: string): number {
  if (result < 0) throw SyscallError.last(call);
  return Number(result);
}
