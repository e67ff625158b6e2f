import { MagsError } from "./errors.ts";

const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 200;
/** What Node calls the ways in which a handshake or a certificate is refused. */
const TLS = /^(ERR_SSL|ERR_TLS|CERT_|EPROTO|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/;
const RETRIED = new Set([429, 502, 503, 504]);

export interface HttpOptions {
  apiUrl: string;
  apiToken: string | undefined;
  /** for one request, `seconds` */
  timeout: number;
}

export interface CallSettings {
  /** ends the call with a MagsError of code `aborted` */
  signal?: AbortSignal | undefined;
}

export interface CallOptions extends CallSettings {
  body?: unknown;
  /** sent instead of a JSON body */
  form?: FormData;
  headers?: Record<string, string> | undefined;
  /** what it does must not be done twice: it is never tried again */
  once?: boolean;
  /** `seconds`; the client's by default */
  timeout?: number;
}

/**
 * One API call with a JSON answer, tried again with growing pauses where that is safe: reads always, POSTs because each
 * carries an Idempotency-Key, PATCHes because they set values. `timeout` bounds the call with all its attempts.
 * Throws MagsError; its code is `aborted`, `timeout`, `tls` or `unreachable` where no server said anything.
 */
export async function callJson<T>(
  http: HttpOptions,
  method: string,
  path: string,
  options: CallOptions = {},
): Promise<T> {
  const headers = method === "POST" ? { "idempotency-key": await randomId(), ...options.headers } : options.headers;
  const request = toRequest(http, method, { ...options, headers });
  const seconds = options.timeout ?? http.timeout;
  const deadline = Date.now() + seconds * 1000;
  for (let attempt = 1; ; attempt++) {
    try {
      const limit = AbortSignal.timeout(Math.max(1, deadline - Date.now()));
      const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
      return (await readJson(await send(http, path, { ...request, signal }))) as T;
    } catch (error) {
      const failure = toError(http, error, seconds, options.signal);
      const wait = pauseBefore(failure, attempt);
      if (wait === undefined || options.once || attempt === ATTEMPTS || Date.now() + wait >= deadline) throw failure;
      await pause(wait, options.signal);
    }
  }
}

/** One attempt at a stream; answers when its headers are there. Throws MagsError. */
export async function openStream(
  http: HttpOptions,
  path: string,
  options: { headers: Record<string, string>; signal: AbortSignal },
): Promise<AsyncIterable<Uint8Array>> {
  const request = toRequest(http, "GET", { headers: { accept: "text/event-stream", ...options.headers } });
  try {
    const response = await send(http, path, { ...request, signal: options.signal });
    return response.body as unknown as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw toError(http, error, http.timeout);
  }
}

/** One attempt at a call whose body or answer is streamed; answers when the headers are there. Throws MagsError. */
export async function callRaw(
  http: HttpOptions,
  method: string,
  path: string,
  options: {
    body?: string | Uint8Array | AsyncIterable<Uint8Array> | undefined;
    signal?: AbortSignal | undefined;
  } = {},
): Promise<Response> {
  const { body, signal } = options;
  const streams = body !== undefined && typeof body === "object" && Symbol.asyncIterator in body;
  // fetch asks for `duplex` where the body is a stream
  const given = { body, signal, ...(streams ? { duplex: "half" } : {}) } as RequestInit;
  const request = { ...toRequest(http, method, {}), ...given };
  try {
    return await send(http, path, request);
  } catch (error) {
    throw toError(http, error, http.timeout, signal);
  }
}

/** Time before the next attempt, `ms`, with jitter; undefined where another one would not help. */
export function pauseBefore(failure: MagsError, attempt: number, longestMs = Number.POSITIVE_INFINITY) {
  const again = failure.code === "unreachable" || RETRIED.has(failure.statusCode ?? 0);
  if (!again) return undefined;
  const backoff = Math.min(longestMs, FIRST_PAUSE_MS * 2 ** (attempt - 1)) * (0.75 + Math.random() / 4);
  return failure.retryAfter === undefined ? backoff : failure.retryAfter * 1000;
}

function toRequest(http: HttpOptions, method: string, options: CallOptions): RequestInit {
  const headers: Record<string, string> = { accept: "application/json", ...options.headers };
  if (http.apiToken) headers.authorization = `Bearer ${http.apiToken}`;
  if (options.body !== undefined) headers["content-type"] = "application/json";
  const body = options.form ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  return { method, headers, body };
}

/** Node 18 has no global crypto, and a browser no randomUUID on a page that came over plain HTTP. */
async function randomId(): Promise<string> {
  const crypto = globalThis.crypto ?? (await import("node:crypto")).webcrypto;
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function send(http: HttpOptions, path: string, request: RequestInit): Promise<Response> {
  const response = await fetch(`${http.apiUrl}/api/v1${path}`, request);
  if (response.ok) return response;
  throw await refusal(response);
}

async function readJson(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    const body = text === "" ? {} : JSON.parse(text);
    if (typeof body === "object" && body !== null && !Array.isArray(body)) return body;
    throw new Error("it is no object");
  } catch (cause) {
    throw new MagsError(`the answer is no JSON of this API: ${text.slice(0, 200)}`, {
      cause,
      statusCode: response.status,
      code: "malformed_answer",
      hint: "MAGS_API_URL may name something that is no Mags server.",
    });
  }
}

async function refusal(response: Response): Promise<MagsError> {
  const text = await response.text();
  let body: { message?: string; error?: { code?: string; hint?: string; field?: string; request_id?: string } } = {};
  try {
    body = JSON.parse(text) ?? {};
  } catch {
    // something between us and the server answered; its text is all there is
  }
  return new MagsError(body.message ?? `${response.status}: ${text.slice(0, 200)}`, {
    statusCode: response.status,
    code: body.error?.code,
    hint: body.error?.hint,
    field: body.error?.field,
    requestId: body.error?.request_id ?? response.headers.get("x-request-id") ?? undefined,
    retryAfter: retryAfter(response.headers.get("retry-after")),
  });
}

/** `seconds` to wait; the header holds a number of them or a date. */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
}

function toError(http: HttpOptions, error: unknown, seconds: number, signal?: AbortSignal): MagsError {
  if (error instanceof MagsError) return error;
  const cause = error as Error;
  if (signal?.aborted) return new MagsError("the call was aborted", { cause, code: "aborted" });
  if (cause.name === "TimeoutError")
    return new MagsError(`no answer from ${http.apiUrl} within ${seconds} s`, {
      cause,
      code: "timeout",
      hint: "Give the client a longer timeout, or look at the server's /readyz.",
    });
  const { message: reason = cause.message, code = "" } = (cause.cause ?? {}) as { message?: string; code?: string };
  if (TLS.test(code))
    return new MagsError(`no secure connection to ${http.apiUrl}: ${reason}`, {
      cause,
      code: "tls",
      hint: "Its certificate must be one that this machine trusts; NODE_EXTRA_CA_CERTS names others.",
    });
  return new MagsError(`no answer from ${http.apiUrl}: ${reason}`, {
    cause,
    code: "unreachable",
    hint: "Is it running? Start it with `npm start`; MAGS_API_URL says where it is.",
  });
}

/** Resolves after `ms`, or at once when `signal` is aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
    if (signal?.aborted) done();
  });
}
