import type { IncomingMessage } from "node:http";
import { lowerCase, type ReplyHead } from "./reply-parser.ts";

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

/** Anything else in a head would end a line of it, or is read differently by different servers. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const TARGET = /^[\x21-\xff]+$/;

/**
 * Head of a request as the sandbox gets it: names, order and duplicates kept, what belongs to one hop replaced. Undefined
 * where it has characters that are not allowed.
 */
export function requestHead(
  request: IncomingMessage,
  visitor: Visitor,
  options: { path: string; upgrade: boolean; replace: Record<string, string | null> },
): string | undefined {
  const { headers, rawHeaders, method } = request;
  if (!TARGET.test(options.path)) return undefined;
  const named = connectionTokens(headers.connection);
  let head = `${method} ${options.path} HTTP/1.1\r\n`;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    const lower = lowerCase(name);
    if (kindOf(lower) !== "end-to-end" || isNamed(named, lower)) continue;
    const replacement = options.replace[lower];
    if (replacement === null) continue;
    const value = replacement ?? (rawHeaders[i + 1] as string);
    if (!VALUE.test(value)) return undefined;
    head += `${name}: ${value}\r\n`;
  }
  if (headers.te !== undefined && /(^|,)\s*trailers\s*($|,|;)/i.test(String(headers.te))) head += "TE: trailers\r\n";
  if (headers["transfer-encoding"] !== undefined) head += "Transfer-Encoding: chunked\r\n";
  else if (headers["content-length"] === undefined && (method === "POST" || method === "PUT" || method === "PATCH"))
    head += "Content-Length: 0\r\n";
  head += options.upgrade
    ? `Connection: Upgrade\r\nUpgrade: ${headers.upgrade ?? ""}\r\n`
    : "Connection: keep-alive\r\n";
  return head + forwarded(visitor);
}

function forwarded({ address, protocol, host }: Visitor): string {
  const node = address.includes(":") ? `"[${address}]"` : address;
  return `X-Forwarded-For: ${address}\r\nX-Forwarded-Proto: ${protocol}\r\nX-Forwarded-Host: ${host}\r\nX-Real-IP: ${address}\r\nForwarded: for=${node};host="${host}";proto=${protocol}\r\n\r\n`;
}

/** Headers of an answer as the client gets them. A cookie for all hosts of the domain becomes one for this host. */
export function responseHeaders(answer: ReplyHead, host: string): Raw {
  const named = connectionTokens(answer.connection);
  const headers: Raw = [];
  each(answer.headers, (name, value, lower) => {
    if (HOP_BY_HOP.has(lower) || isNamed(named, lower)) return;
    headers.push(name, lower === "set-cookie" ? ownCookie(value, host) : value);
  });
  return headers;
}

/** Those of the trailers that are fit to be passed on, as pairs. */
export function trailers(raw: Raw): [string, string][] {
  const pairs: [string, string][] = [];
  each(raw, (name, value, lower) => {
    if (kindOf(lower) === "end-to-end" && !NO_TRAILERS.test(lower) && VALUE.test(value)) pairs.push([name, value]);
  });
  return pairs;
}

/** Sandboxes of different tenants are below one domain: none may set a cookie that the others get. */
function ownCookie(cookie: string, host: string): string {
  return cookie.replace(/;\s*domain\s*=\s*("?)\.?([^;"]*)\1\s*(?=;|$)/gi, (attribute, _quote, domain: string) =>
    domain.trim().toLowerCase() === host ? attribute : "",
  );
}

/** Headers that a Connection header takes away; undefined where it says what nearly all say. */
function connectionTokens(header: string | undefined): Set<string> | undefined {
  if (header === undefined || header === "" || header === "keep-alive" || header === "close") return undefined;
  return new Set(header.split(",").map((token) => token.trim().toLowerCase()));
}

const isNamed = (named: Set<string> | undefined, lower: string) => named?.has(lower) === true && !END_TO_END.has(lower);

function kindOf(lower: string): "hop" | "proxy" | "end-to-end" {
  if (HOP_BY_HOP.has(lower)) return "hop";
  return OF_PROXIES.test(lower) ? "proxy" : "end-to-end";
}

function each(raw: Raw, visit: (name: string, value: string, lower: string) => void): void {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    visit(name, raw[i + 1] as string, lowerCase(name));
  }
}
