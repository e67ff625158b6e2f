/**
 * An answer of the API that is no success, or none at all: then `statusCode` is undefined and `code` one of `aborted`,
 * `timeout` and `unreachable`.
 */
export class MagsError extends Error {
  override readonly name = "MagsError";
  /** HTTP status; undefined when there was no answer */
  readonly statusCode: number | undefined;
  /** stable code of the error, such as `not_found` */
  readonly code: string | undefined;
  readonly requestId: string | undefined;
  /** what to do about it */
  readonly hint: string | undefined;
  /** request field that was wrong */
  readonly field: string | undefined;
  /** how long the server asks to wait, `seconds` */
  readonly retryAfter: number | undefined;

  constructor(message: string, details: Partial<Omit<MagsError, "name" | "message">> & { cause?: unknown } = {}) {
    super(message, { cause: details.cause });
    this.statusCode = details.statusCode;
    this.code = details.code;
    this.requestId = details.requestId;
    this.hint = details.hint;
    this.field = details.field;
    this.retryAfter = details.retryAfter;
  }
}
