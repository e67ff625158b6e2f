import type { IncomingMessage } from "node:http";

const HOST = /^([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)\.?(?::\d{1,5})?$/i;

/** The host name a request is for, in lower case; or what is wrong with the request, for the cases the parser lets through. */
export function checkRequest(request: IncomingMessage): { host: string } | { wrong: string } {
  const { rawHeaders, url = "", method } = request;
  const values = (name: string) =>
    rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name);
  const [host, ...others] = values("host");
  if (host === undefined) return { wrong: "the request has no Host header" };
  if (others.length > 0) return { wrong: "the request has two Host headers" };
  if (method === "CONNECT") return { wrong: "this is no forward proxy" };
  if (!url.startsWith("/") && !(method === "OPTIONS" && url === "*"))
    return { wrong: "the request target must be a path, not a whole URL" };
  if (values("content-length").length > 1) return { wrong: "the request has two Content-Length headers" };
  const codings = values("transfer-encoding");
  if (codings.length > 1 || (codings[0] ?? "chunked").trim().toLowerCase() !== "chunked")
    return { wrong: "the only transfer coding that is understood is chunked" };
  if (codings.length > 0 && (values("content-length").length > 0 || request.httpVersion === "1.0"))
    return { wrong: "the length of the body is ambiguous" };
  const name = HOST.exec(host)?.[1];
  return name ? { host: name.toLowerCase() } : { wrong: "the Host header is no host name" };
}
