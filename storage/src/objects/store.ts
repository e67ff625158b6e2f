const KEY = /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/;
const PREFIX = /^([A-Za-z0-9._-]+\/)*[A-Za-z0-9._-]*$/;
const DOTS = /(^|\/)\.{1,2}(\/|$)/;
const MAX_KEY = 512;
// A file's name may have 255 bytes, and a directory store adds a mark.
const MAX_SEGMENT = 200;

/**
 * Whole objects of a few MiB under keys like `chunks/ab/cdef`. Every method throws ObjectError and nothing else. A key
 * is of `A-Z a-z 0-9 . _ -` in segments between single slashes, none of them `.` or `..`, at most 512 bytes, 200 a
 * segment; any other is `invalid`. `a` and `a/b` may both be there.
 */
export interface ObjectStore {
  /** "s3://bucket at https://…" or "directory /path", never with secrets */
  readonly description: string;

  /** The whole object as it was put, `not_found` when there is none. */
  get(key: string, options?: { signal?: AbortSignal }): Promise<Buffer>;

  /**
   * Keeps `body`, which must not change meanwhile; durable when it resolves. Readers see the old object or the new,
   * never a part. With `ifAbsent` an object that is there stays as it is and the answer is "present"; of many such
   * calls at a time, in any processes, one is answered "stored". A call that failed with `unreachable`, `busy` or
   * `aborted` may have stored the object all the same.
   */
  put(
    key: string,
    body: Uint8Array,
    options?: { ifAbsent?: boolean; signal?: AbortSignal },
  ): Promise<"stored" | "present">;

  has(key: string): Promise<boolean>;

  /** Removes the objects; missing ones are no error. After an error any of them may still be there. */
  delete(keys: readonly string[]): Promise<void>;

  /**
   * The objects whose keys start with `prefix` (which may end within a segment; "" is all), by key in the order of
   * bytes. Objects put or deleted meanwhile may or may not be among them.
   */
  list(prefix: string): AsyncIterable<{ key: string; bytes: number; modified: Date }>;

  /**
   * Makes sure that the store can do all of the above: writes, reads, lists and deletes a small object below `check/`.
   * Makes the directory where it is missing. Throws ObjectError saying what is wrong with address, bucket, credentials
   * or directory, and how to mend it.
   */
  check(): Promise<void>;

  /** Ends open connections; nothing may be called afterwards. */
  close(): Promise<void>;
}

export type ObjectErrorCode = "not_found" | "denied" | "unreachable" | "busy" | "full" | "invalid" | "aborted";

/** What went wrong with an object or its store. `retryable`: the same call may well succeed later, with nothing mended. */
export class ObjectError extends Error {
  override readonly name = "ObjectError";
  readonly code: ObjectErrorCode;
  readonly retryable: boolean;
  /** what to do about it, in a sentence; empty for not_found and aborted */
  readonly hint: string;

  constructor(
    code: ObjectErrorCode,
    message: string,
    { hint = "", retryable = code === "busy" || code === "unreachable", cause }: ObjectErrorDetails = {},
  ) {
    super(message, { cause });
    this.code = code;
    this.retryable = retryable;
    this.hint = hint;
  }
}

interface ObjectErrorDetails {
  hint?: string;
  retryable?: boolean;
  cause?: unknown;
}

export function isKey(text: string): boolean {
  return (
    text.length <= MAX_KEY &&
    KEY.test(text) &&
    !DOTS.test(text) &&
    text.split("/").every((segment) => segment.length <= MAX_SEGMENT)
  );
}

/** Throws ObjectError `invalid` for what is no key. */
export function checkKey(key: string): void {
  if (isKey(key)) return;
  throw new ObjectError("invalid", `${JSON.stringify(key)} is no key of an object`, {
    hint: `Keys are of A-Z a-z 0-9 . _ - in segments between single slashes, none of them . or .., ${MAX_KEY} bytes at most, ${MAX_SEGMENT} a segment.`,
  });
}

/** Throws ObjectError `invalid` for what no key can start with. */
export function checkPrefix(prefix: string): void {
  const directory = prefix.slice(0, prefix.lastIndexOf("/") + 1);
  if (prefix.length <= MAX_KEY && PREFIX.test(prefix) && !DOTS.test(directory.slice(0, -1))) return;
  throw new ObjectError("invalid", `${JSON.stringify(prefix)} is no prefix of keys`, {
    hint: "A prefix is the beginning of a key.",
  });
}

/** Throws ObjectError `aborted` when the signal has fired. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new ObjectError("aborted", "the caller has given up", { cause: signal.reason });
}
