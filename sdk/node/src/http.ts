import { MagsError } from "./errors.ts";

const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 200;
const RETRIED = new Set([429, 502, 503, 504]);

export interface HttpOptions {
  apiUrl: string;
  apiToken: string | undefined;
  /** for one request, `seconds` */
  timeout: number;
}

export interface CallOptions {
  body?: unknown;
  signal?: AbortSignal | undefined;
  headers?: Record<string, string>;
  /** `seconds`; the client's by default */
  timeout?: number;
}

/**
 * One API call, tried again with growing pauses where that is safe: reads always, POSTs because each carries an
 * Idempotency-Key. Throws MagsError.
 */
export async function call(
  http: HttpOptions,
  method: string,
  path: string,
  options: CallOptions = {},
): Promise<Response> {
  const headers: Record<string, string> = { accept: "application/json", ...options.headers };
  if (http.apiToken) headers.authorization = `Bearer ${http.apiToken}`;
  if (options.body !== undefined) headers["content-type"] = "application/json";
  if (method === "POST") headers["idempotency-key"] ??= globalThis.crypto.randomUUID();
  const body = options.body === undefined ? undefined : JSON.stringify(options.body);
  for (let attempt = 1; ; attempt++) {
    const response = await attemptOnce(http, method, path, { ...options, headers, body });
    if (response instanceof Response && response.ok) return response;
    const status = response instanceof Response ? response.status : undefined;
    const again = status === undefined || RETRIED.has(status);
    if (!again || attempt === ATTEMPTS || options.signal?.aborted) throw await toError(http, response);
    const wait = response instanceof Response ? Number(response.headers.get("retry-after")) * 1000 : 0;
    await pause(wait || FIRST_PAUSE_MS * 2 ** (attempt - 1) * (0.5 + Math.random()), options.signal);
  }
}

async function attemptOnce(
  http: HttpOptions,
  method: string,
  path: string,
  options: CallOptions & { headers: Record<string, string>; body: string | undefined },
): Promise<Response | Error> {
  const limit = AbortSignal.timeout((options.timeout ?? http.timeout) * 1000);
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
  try {
    return await fetch(`${http.apiUrl}/api/v1${path}`, {
      method,
      headers: options.headers,
      body: options.body,
      signal,
    });
  } catch (error) {
    return error as Error;
  }
}

async function toError(http: HttpOptions, response: Response | Error): Promise<MagsError> {
  if (response instanceof Error) {
    const cause = (response.cause as Error | undefined)?.message ?? response.message;
    return new MagsError(`no answer from ${http.apiUrl}: ${cause}`, {
      cause: response,
      code: "unreachable",
      hint: "Is the server running there? `npm start` starts one; MAGS_API_URL says where it is.",
    });
  }
  const text = await response.text();
  let body: { message?: string; error?: { code?: string; hint?: string; field?: string; request_id?: string } } = {};
  try {
    body = JSON.parse(text);
  } catch {
    // something between us and the server answered; its text is all there is
  }
  return new MagsError(body.message ?? `${response.status}: ${text.slice(0, 200)}`, {
    statusCode: response.status,
    code: body.error?.code,
    hint: body.error?.hint,
    field: body.error?.field,
    requestId: body.error?.request_id ?? response.headers.get("x-request-id") ?? undefined,
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
