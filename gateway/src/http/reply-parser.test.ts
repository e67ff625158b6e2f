import { once } from "node:events";
import { request } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ReplyHead, ReplyParser } from "./reply-parser.ts";

/** What a parser says of bytes that come in pieces: heads, bodies put together, trailers, and what was left over. */
function read(pieces: string[], { headOnly = false, ended = false } = {}) {
  const said: { heads: ReplyHead[]; body: string; trailers?: string[]; rest: string } = {
    heads: [],
    body: "",
    rest: "",
  };
  const note = (head: ReplyHead) => said.heads.push({ ...head });
  const parser = new ReplyParser(
    {
      interim: note,
      head: note,
      body: (chunk) => {
        said.body += chunk.toString("latin1");
      },
      end: (trailers) => {
        said.trailers = trailers;
      },
    },
    headOnly,
  );
  for (const piece of pieces) said.rest += parser.push(Buffer.from(piece, "latin1")).toString("latin1");
  if (ended) parser.close();
  return said;
}

const token = fc.string({ unit: fc.constantFrom(..."abcXYZ019-_!~"), minLength: 1, maxLength: 12 });
const value = fc
  .string({ unit: fc.constantFrom(...'az09 ,;=\t\xa0\xff"():'), maxLength: 30 })
  .map((text) => text.replace(/^[ \t]+|[ \t]+$/g, ""));
const fields = fc.array(
  fc.tuple(
    token.map((name) => `X-${name}`),
    value,
  ),
  { maxLength: 6 },
);
const lines = (pairs: [string, string][]) => pairs.map(([name, text]) => `${name}: ${text}\r\n`).join("");
const bytes = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 60,
});

/** A well-formed answer of each framing, with what it holds. */
const reply = fc
  .record({
    status: fc.integer({ min: 200, max: 599 }).filter((status) => status !== 204 && status !== 304),
    headers: fields,
    chunks: fc.array(
      bytes.filter((chunk) => chunk !== ""),
      { maxLength: 4 },
    ),
    trailers: fields,
    framing: fc.constantFrom("length" as const, "chunks" as const),
    interim: fc.boolean(),
  })
  .map(({ status, headers, chunks, trailers, framing, interim }) => {
    const body = chunks.join("");
    const chunked = chunks.map((chunk) => `${chunk.length.toString(16)};x=1\r\n${chunk}\r\n`).join("");
    const [field, sent] =
      framing === "length"
        ? [`Content-Length: ${body.length}`, body]
        : ["Transfer-Encoding: chunked", `${chunked}0\r\n${lines(trailers)}\r\n`];
    const early = interim ? "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" : "";
    return {
      text: `${early}HTTP/1.1 ${status} Some Words\r\n${lines(headers)}${field}\r\n\r\n${sent}`,
      status,
      body,
      headers: headers.flat(),
      trailers: framing === "chunks" ? trailers.flat() : [],
    };
  });

/** The text in pieces, cut anywhere. */
function cut(text: string, places: number[]): string[] {
  const at = [...new Set(places.map((place) => place % (text.length + 1)))].sort((a, b) => a - b);
  return [...at, text.length].map((end, i) => text.slice(at[i - 1] ?? 0, end)).filter((piece) => piece !== "");
}

it("an answer says the same however its bytes are cut, and leaves what comes behind it", () => {
  fc.assert(
    fc.property(reply, fc.array(fc.nat(), { maxLength: 20 }), ({ text, ...wanted }, places) => {
      const said = read([...cut(text, places), "HTTP/1.1 "]);
      expect(said.heads.at(-1)).toMatchObject({ status: wanted.status, reason: "Some Words", keep: true });
      expect(said.heads.at(-1)?.headers.slice(0, -2)).toEqual(wanted.headers);
      expect([said.body, said.trailers, said.rest]).toEqual([wanted.body, wanted.trailers, "HTTP/1.1 "]);
      expect(read([...text])).toEqual({ ...said, rest: "" });
    }),
    { numRuns: 300 },
  );
});

it("an answer says what it says to Node's own client", async () => {
  let text = "";
  const server = createServer((socket) => socket.once("data", () => socket.end(text, "latin1"))).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await fc.assert(
    fc.asyncProperty(reply, async (given) => {
      text = given.text;
      const call = request({ port, host: "127.0.0.1", agent: false });
      call.end();
      const [answer] = await once(call, "response");
      const body = (await buffer(answer)).toString("latin1");
      const said = read([text]);
      expect([answer.statusCode, answer.rawHeaders, body, answer.rawTrailers]).toEqual([
        said.heads.at(-1)?.status,
        said.heads.at(-1)?.headers,
        said.body,
        said.trailers,
      ]);
    }),
    { numRuns: 100 },
  );
  server.close();
});

it.each([
  ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", true],
  ["Connection: close", "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 3\r\n\r\nabc", false],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", false],
  ["HTTP/1.0 with keep-alive", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\nabc", true],
  ["no status text", "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", true],
])("an answer with %s is read, and tells whether its connection stays", (_name, text, keep) => {
  const said = read([text]);
  expect([said.body, said.trailers, said.heads[0]?.keep]).toEqual(["abc", [], keep]);
});

it("the end of the connection is the end of an answer that says no other, and of no other one", () => {
  const text = "HTTP/1.1 200 OK\r\n\r\nall of it";
  expect(read([text]).trailers).toBeUndefined();
  expect(read([text], { ended: true })).toMatchObject({ body: "all of it", trailers: [] });
  for (const part of ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
    expect(() => read([part], { ended: true })).toThrow("ended before the answer did");
});

it("answers without a body have none, whatever they say", () => {
  for (const status of ["204 No Content", "304 Not Modified"])
    expect(read([`HTTP/1.1 ${status}\r\nContent-Length: 3\r\n\r\nabc`])).toMatchObject({ body: "", rest: "abc" });
  const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  expect(read([head], { headOnly: true })).toMatchObject({ body: "", trailers: [] });
});

describe("what two parsers could read in two ways is refused:", () => {
  const head = (more: string) => `HTTP/1.1 200 OK\r\n${more}\r\n\r\n`;
  const chunked = head("Transfer-Encoding: chunked");
  const cases: Record<string, string> = {
    "no HTTP": "SSH-2.0-x",
    "another version": "HTTP/2.0 200 OK\r\n\r\n",
    "a status that is no number": "HTTP/1.1 2x0 OK\r\n\r\n",
    "a length and a coding": head("Content-Length: 3\r\nTransfer-Encoding: chunked"),
    "two lengths": head("Content-Length: 3\r\nContent-Length: 3"),
    "a list of lengths": head("Content-Length: 3, 3"),
    "a signed length": head("Content-Length: +3"),
    "an endless length": head(`Content-Length: ${"9".repeat(20)}`),
    "another coding": head("Transfer-Encoding: gzip, chunked"),
    "two codings": head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    "a coding in HTTP/1.0": "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a space before the colon": head("Content-Length : 3"),
    "a folded header": head("X: a\r\n b"),
    "a header without a colon": head("X"),
    "a bare carriage return": head("X: a\rY: b"),
    "a bare line feed": head("X: a\nY: b"),
    "a NUL": head("X: a\0"),
    "a head without end": `HTTP/1.1 200 OK\r\nX: ${"x".repeat(140_000)}`,
    "a chunk size that is none": `${chunked}x\r\n`,
    "a chunk size with a sign": `${chunked}+1\r\na\r\n`,
    "a chunk size beyond all numbers": `${chunked}${"f".repeat(20)}\r\n`,
    "a chunk that is longer than it says": `${chunked}1\r\nab\r\n0\r\n\r\n`,
    "a size line without end": `${chunked}1;${"x".repeat(10_000)}`,
    "a trailer that is no header": `${chunked}0\r\nX\r\n\r\n`,
  };
  it.each(Object.entries(cases))("%s", (_name, text) => {
    expect(() => read([text])).toThrow(expect.objectContaining({ name: "ReplyError" }));
    expect(() => read([...text])).toThrow(expect.objectContaining({ name: "ReplyError" }));
  });
});
