import type { IncomingMessage } from "node:http";

/** Who sent a request and how it reached us. */
export interface Visitor {
  /** address of the client itself */
  address: string;
  protocol: "http" | "https";
  /** Host header as it came */
  host: string;
}

const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);
/** Headers by which proxies speak of a client: ours alone are to be believed. */
const OF_PROXIES = /^(forwarded|x-forwarded(-.*)?|x-real-ip|x-client-ip|x-cluster-client-ip|true-client-ip|via)$/;
/** What a Connection header must not take away from a request. */
const END_TO_END = new Set(["host", "content-length", "cookie", "authorization"]);
/** Fields that would change a message after it was judged. */
const NO_TRAILERS =
  /^(host|content-.*|transfer-encoding|trailer|authorization|cookie|set-cookie|te|expect|range|.*-control)$/;

type Raw = string[];

/** Headers of a request as the sandbox gets them: names, order and duplicates kept, what belongs to one hop replaced. */
export function requestHeaders(
  request: IncomingMessage,
  visitor: Visitor,
  options: { upgrade: boolean; replace: Record<string, string | null> },
): Raw {
  const named = connectionTokens(request.headers.connection);
  const headers: Raw = [];
  each(request.rawHeaders, (name, value, lower) => {
    if (HOP_BY_HOP.has(lower) || OF_PROXIES.test(lower)) return;
    if (named.has(lower) && !END_TO_END.has(lower)) return;
    const replacement = options.replace[lower];
    if (replacement === null) return;
    headers.push(name, replacement ?? value);
  });
  if (/(^|,)\s*trailers\s*($|,|;)/i.test(String(request.headers.te ?? ""))) headers.push("TE", "trailers");
  if (request.headers["transfer-encoding"] !== undefined) headers.push("Transfer-Encoding", "chunked");
  else if (request.headers["content-length"] === undefined && /^(POST|PUT|PATCH)$/.test(request.method ?? ""))
    headers.push("Content-Length", "0");
  if (options.upgrade) headers.push("Connection", "Upgrade", "Upgrade", request.headers.upgrade ?? "");
  else headers.push("Connection", "keep-alive");
  return headers.concat(forwarded(visitor));
}

function forwarded({ address, protocol, host }: Visitor): Raw {
  const node = address.includes(":") ? `"[${address}]"` : address;
  return Object.entries({
    "X-Forwarded-For": address,
    "X-Forwarded-Proto": protocol,
    "X-Forwarded-Host": host,
    "X-Real-IP": address,
    Forwarded: `for=${node};host="${host}";proto=${protocol}`,
  }).flat();
}

/** Headers of an answer as the client gets them. A cookie for all hosts of the domain becomes one for this host. */
export function responseHeaders(answer: IncomingMessage, host: string): Raw {
  const named = connectionTokens(answer.headers.connection);
  const headers: Raw = [];
  each(answer.rawHeaders, (name, value, lower) => {
    if (HOP_BY_HOP.has(lower) || (named.has(lower) && !END_TO_END.has(lower))) return;
    headers.push(name, lower === "set-cookie" ? ownCookie(value, host) : value);
  });
  return headers;
}

/** Trailers fit to be passed on, as pairs. */
export function trailers(message: IncomingMessage): [string, string][] {
  const pairs: [string, string][] = [];
  each(message.rawTrailers, (name, value, lower) => {
    if (!HOP_BY_HOP.has(lower) && !OF_PROXIES.test(lower) && !NO_TRAILERS.test(lower)) pairs.push([name, value]);
  });
  return pairs;
}

/** Sandboxes of different tenants are below one domain: none may set a cookie that the others get. */
function ownCookie(cookie: string, host: string): string {
  return cookie.replace(/;\s*domain\s*=\s*("?)\.?([^;"]*)\1\s*(?=;|$)/gi, (attribute, _quote, domain: string) =>
    domain.trim().toLowerCase() === host ? attribute : "",
  );
}

const connectionTokens = (header: string | undefined) =>
  new Set((header ?? "").split(",").map((token) => token.trim().toLowerCase()));

function each(raw: Raw, visit: (name: string, value: string, lower: string) => void): void {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    visit(name, raw[i + 1] as string, name.toLowerCase());
  }
}
