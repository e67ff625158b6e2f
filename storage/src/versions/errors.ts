/**
 * `damaged`: the bytes are not those that were stored. `missing`: an object that a version needs is not there. `newer`:
 * written by a later Mags in a format that this one does not know. `invalid`: what was asked cannot be done.
 */
export type VersionErrorCode = "damaged" | "missing" | "newer" | "invalid";

/** What is wrong with a version or a request about one; trying again does not mend it. */
export class VersionError extends Error {
  override readonly name = "VersionError";
  readonly code: VersionErrorCode;
  /** of the object that is wrong */
  readonly key: string | undefined;

  constructor(code: VersionErrorCode, message: string, { key, cause }: { key?: string; cause?: unknown } = {}) {
    super(message, { cause });
    this.code = code;
    this.key = key;
  }
}
