import fc from "fast-check";
import type { Shot } from "./requests.ts";

/** A request as bytes, and what comes a moment later. */
export function wire(
  { method, target, headers, body, way }: Shot,
  authorization: string,
): [Buffer, Buffer | "close" | undefined] {
  const lines = Object.entries({ host: "127.0.0.1", authorization, ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  const head = (more: string[] = []) =>
    Buffer.from([`${method} ${target} HTTP/1.1`, ...lines, ...more, "", ""].join("\r\n"), "latin1");
  if (body === undefined) return [head(), undefined];
  if (way === "whole") return [Buffer.concat([head([`content-length: ${body.length}`]), body]), undefined];
  if (way === "short") return [Buffer.concat([head([`content-length: ${body.length + 10}`]), body]), "close"];
  const chunk = Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from("\r\n")]);
  const start = Buffer.concat([head(["transfer-encoding: chunked"]), body.length === 0 ? Buffer.alloc(0) : chunk]);
  return way === "cut" ? [start, "close"] : [start, Buffer.from("0\r\n\r\n")];
}

/** Heads that two readers could read in two ways, that are too long, or that are none. */
export function malformed(hosts: readonly string[]): fc.Arbitrary<Buffer> {
  const host = fc.oneof(
    fc.constantFrom(
      ...hosts,
      "",
      ".",
      "localhost",
      "a b",
      "x".repeat(5000),
      "[::1",
      "[::1]:99999",
      "a..apps.localhost",
      "\u00ff",
      "xn--",
      "..",
      "a@b",
      "%00",
    ),
    fc.string({ unit: "binary-ascii", maxLength: 40 }).map((text) => text.replace(/[\r\n]/g, "")),
  );
  const target = fc.constantFrom(
    "/",
    "*",
    "//",
    "http://x/",
    "/%",
    "/%00",
    "/\u00ff",
    "x",
    "",
    `/${"a".repeat(20_000)}`,
    "/../..",
    "/?#",
    "/a\tb",
    "/api/v1/mags-jobs",
  );
  const extra = fc.array(
    fc.constantFrom(
      "Content-Length: 5",
      "Content-Length: -1",
      "Content-Length: 5, 6",
      "Content-Length: 99999999999999999999",
      "Transfer-Encoding: chunked",
      "Transfer-Encoding: chunked, chunked",
      "Transfer-Encoding: gzip",
      "Transfer-Encoding : chunked",
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Upgrade: tcp",
      "Sec-WebSocket-Key: x",
      "Sec-WebSocket-Version: 99",
      "Expect: 100-continue",
      "Expect: x",
      "Host: other",
      " folded: x",
      "no colon",
      ": empty",
      "X: \u0000",
      `Y: ${"y".repeat(20_000)}`,
      "TE: trailers",
      "Cookie: ;;",
      "Authorization: Basic !!!",
      "Range: bytes=0-,-1",
    ),
    { maxLength: 5 },
  );
  const request = fc
    .tuple(
      fc.constantFrom("GET", "POST", "HEAD", "CONNECT", "OPTIONS", "PRI", "G\u0000T", "get", "", "TRACE"),
      target,
      fc.constantFrom("HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", "", "HTTPS/1.1"),
      host,
      extra,
      fc.string({ maxLength: 20 }),
    )
    .map(([method, target, version, host, extra, body]) =>
      Buffer.from([`${method} ${target} ${version}`, `Host: ${host}`, ...extra, "", body].join("\r\n"), "latin1"),
    );
  return fc.oneof(
    { weight: 8, arbitrary: request },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map(Buffer.from) },
    {
      weight: 1,
      // A TLS hello, a proxy's head, HTTP/2, SSH.
      arbitrary: fc
        .constantFrom(
          "\u0016\u0003\u0001\u0002\u0000\u0001",
          "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
          "SSH-2.0-x\r\n",
          "GET / HTTP/1.1\r\n".repeat(300),
        )
        .map((text) => Buffer.from(text, "latin1")),
    },
  );
}

/** WebSocket frames: right ones around bytes that are no session, and wrong ones. */
export const frames: fc.Arbitrary<Buffer> = fc
  .array(
    fc.oneof(
      fc
        .tuple(
          fc.constantFrom(0x80, 0x81, 0x82, 0x88, 0x89, 0x8a, 0x02, 0xf2, 0x83, 0xff),
          fc.uint8Array({ maxLength: 120 }),
        )
        .map(([first, payload]) => Buffer.concat([Buffer.from([first, 0x80 | payload.length, 0, 0, 0, 0]), payload])),
      fc.constantFrom(
        Buffer.from([0x82, 0x05, 1, 2, 3, 4, 5]),
        Buffer.from([0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
        Buffer.from([0x82, 0xfe, 0, 1, 0, 0, 0, 0, 9]),
      ),
      fc.uint8Array({ maxLength: 60 }).map(Buffer.from),
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((list) => Buffer.concat(list));
