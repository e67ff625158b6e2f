import { z } from "zod";

/**
 * Every error the API can answer with, in one table: stable code, HTTP status and the hint that says how to mend it.
 * The message itself is written where the error is raised, because only that place knows the value that was wrong.
 * `docs/errors.md` lists the same rows; a test holds the two together.
 */
export const errors = {
  invalid_request: { status: 400, hint: "Correct the field named in the message and send the request again." },
  malformed_json: { status: 400, hint: "Send a JSON object with Content-Type: application/json." },
  unauthorized: {
    status: 401,
    hint: "Send Authorization: Bearer <token>; the first token is in admin.token of the data directory.",
  },
  forbidden: { status: 403, hint: "Use a token that has the scope; GET /api/v1/whoami shows what this one may do." },
  quota_exceeded: {
    status: 403,
    hint: "Free some of what the message names, or ask whoever runs this server for more.",
  },
  not_found: { status: 404, hint: "List what exists with GET /api/v1/mags-jobs." },
  method_not_allowed: { status: 405, hint: "Use one of the methods that the Allow header names." },
  conflict: { status: 409, hint: "Read the current state with GET …/status and try again." },
  idempotency_mismatch: { status: 409, hint: "Use a new Idempotency-Key for a different request." },
  workspace_in_use: {
    status: 409,
    hint: "Wait until the jobs named in the message have ended, stop them, or send force=true.",
  },
  chunks_gone: { status: 409, hint: "Claim the chunks again, upload those that are missing, then commit." },
  too_large: { status: 413, hint: "Make the request smaller; the limit is in the message." },
  unsupported_media_type: { status: 415, hint: "Send Content-Type: application/json." },
  isolation_unavailable: {
    status: 422,
    hint: "Leave out what asks for it, or use a host that offers it (`mags doctor`).",
  },
  image_unavailable: {
    status: 422,
    hint: "Leave image_digest out, or bring the image of the message to a node; `mags image build` and `mags image pull` do that.",
  },
  too_big_for_nodes: { status: 422, hint: "Ask for fewer vcpus or less memory_mb than the largest node has." },
  not_started: { status: 422, hint: "Check the program, the directory and the user; the message says which is wrong." },
  rate_limited: { status: 429, hint: "Wait as long as Retry-After says." },
  wake_timeout: { status: 504, hint: "Try again: the machine may be up by now; its log says what it is doing." },
  internal: { status: 500, hint: "Try again; if it stays, report the request id." },
  port_closed: { status: 502, hint: "Start a service in the sandbox that listens on that port." },
  unavailable: { status: 503, hint: "Try again in a moment; GET /readyz says what is missing." },
  disk_full: { status: 507, hint: "Remove what is not needed in the machine, or give it a larger disk_gb." },
} as const satisfies Record<string, { status: number; hint: string }>;

/** Body of every error answer. */
export const ErrorBody = z.object({
  message: z.string(),
  error: z.object({
    code: z.string().describe("Stable, for programs"),
    message: z.string(),
    hint: z.string().describe("How to mend it"),
    field: z.string().optional().describe("Request field that was wrong, as a dotted path"),
    request_id: z.string().optional(),
  }),
});

export type ErrorCode = keyof typeof errors;

/** An error with its API answer. `field` is the request field that was wrong, as a dotted path. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: ErrorCode;
  readonly field: string | undefined;
  /** sent as Retry-After, `s` */
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, message: string, field?: string, more: { retryAfter?: number } = {}) {
    super(message);
    this.code = code;
    this.field = field;
    this.retryAfter = more.retryAfter;
  }

  get status(): number {
    return errors[this.code].status;
  }

  /** The body on the wire: `message` is also at the top level because existing clients print it. */
  toBody(requestId?: string) {
    const { code, message, field } = this;
    return { message, error: { code, message, hint: errors[code].hint, field, request_id: requestId } };
  }
}
