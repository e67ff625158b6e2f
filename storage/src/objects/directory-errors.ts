import { ObjectError, type ObjectErrorCode } from "./store.ts";

const TABLE: Record<string, { code: ObjectErrorCode; hint: string; retryable?: boolean }> = {
  ENOSPC: { code: "full", hint: "Make room on its disk, or take a larger one." },
  EDQUOT: { code: "full", hint: "Raise the quota of the user that Mags runs as." },
  EACCES: { code: "denied", hint: "The user that Mags runs as needs to read and write it." },
  EPERM: {
    code: "denied",
    hint: "The user that Mags runs as needs to write it, and its file system needs hard links.",
  },
  ENOTSUP: { code: "invalid", hint: "Its file system needs hard links; take another." },
  EROFS: { code: "denied", hint: "Its file system is mounted read-only; see the kernel's log." },
  ENOTDIR: { code: "invalid", hint: "A part of the path is a file; name a directory." },
  EEXIST: { code: "invalid", hint: "A part of the path is a file; name a directory." },
  EMFILE: { code: "busy", hint: "Raise the limit of open files (ulimit -n)." },
  ENFILE: { code: "busy", hint: "Raise the limit of open files (fs.file-max)." },
};

/** The code of a system error, such as ENOENT. */
export function errno(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

/** A file system's error as ObjectError; one that is an ObjectError already stays what it is. */
export function directoryError(action: string, error: unknown): ObjectError {
  if (error instanceof ObjectError) return error;
  if ((error as Error).name === "AbortError")
    return new ObjectError("aborted", `${action}: given up`, { cause: error });
  const known = TABLE[errno(error) ?? ""];
  return new ObjectError(known?.code ?? "unreachable", `${action}: ${(error as Error).message}`, {
    hint: known?.hint ?? "Look at its disk and at the kernel's log.",
    retryable: known ? known.code === "busy" : false,
    cause: error,
  });
}
