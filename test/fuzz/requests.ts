import fc from "fast-check";
import type { Operation } from "./document.ts";
import { hostile, strange, valuesOf } from "./values.ts";

/** One request, as bytes on a line. */
export interface Shot {
  operation: string;
  method: string;
  target: string;
  headers: Record<string, string>;
  body: Buffer | undefined;
  /** how the body goes: whole, in chunks, in chunks of which the last is missing, or with a wrong length */
  way: "whole" | "chunked" | "cut" | "short";
}

/** What paths may name and is there, by the beginning of the path. */
export type Things = Record<string, string[]>;

/** What would take away what all other cases need. */
const SPARED = /^(delete|remove|stop|sleep|drain|revoke|forget|collect|rollBack|endSession|signOut)/i;

/** Requests to an operation that could be right in all, and are wrong somewhere. */
export function shots(operation: Operation, things: Things): fc.Arbitrary<Shot> {
  const path = fc.record(
    Object.fromEntries([...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name, named(operation, things)])),
  );
  const query = fc.record(
    Object.fromEntries(
      operation.parameters
        .filter((parameter) => parameter.in === "query")
        .map(({ name, schema }) => [name, patient(name, fc.oneof(valuesOf(schema), strange))]),
    ),
    { requiredKeys: [] },
  );
  return fc
    .tuple(
      path,
      query,
      headers,
      bodies(operation),
      fc.constantFrom("whole", "whole", "whole", "chunked", "cut", "short"),
    )
    .map(([path, query, headers, body, way]) => ({
      operation: operation.id,
      method: operation.method,
      target: targetOf(operation, path as Record<string, string>, query),
      headers,
      body: operation.method === "GET" ? undefined : body,
      way: way as Shot["way"],
    }));
}

function named({ path, id }: Operation, things: Things): fc.Arbitrary<string> {
  const there = things[Object.keys(things).find((start) => path.includes(start)) ?? ""] ?? [];
  const odd = fc.oneof(
    strange.map((text) => text.slice(0, 2000)),
    fc.uuid(),
    fc.string(),
  );
  if (SPARED.test(id) || there.length === 0) return odd;
  return fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...there) }, { weight: 1, arbitrary: odd });
}

/** Seconds to wait for something are few, for many cases are to follow. */
const patient = (name: string, value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  /^(wait|timeout|interval)$/.test(name) ? fc.constantFrom(0, 1, "0.2", "-1", "x") : value;

function targetOf({ path }: Operation, values: Record<string, string>, query: object): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encoded(values[name] ?? "") || "%20");
  const search = Object.entries(query)
    .map(([name, value]) => `${name}=${encoded(typeof value === "string" ? value : (JSON.stringify(value) ?? ""))}`)
    .join("&")
    .slice(0, 12_000);
  return search === "" ? filled : `${filled}?${search}`;
}

/** What is percent-encoded already stays so: servers decode once or twice, or not at all. */
function encoded(text: string): string {
  return /^[\w.%-]*%[\w.%-]*$/.test(text) ? text : encodeURIComponent(text.toWellFormed());
}

const headers: fc.Arbitrary<Record<string, string>> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ "content-type": "application/json" }) },
  {
    weight: 4,
    arbitrary: fc.record(
      {
        "content-type": fc.constantFrom(
          "application/json",
          "application/json; charset=utf-16",
          "text/plain",
          "multipart/form-data",
          "multipart/form-data; boundary=x",
          "application/x-www-form-urlencoded",
          "application/xml",
          "",
          "\u00ff",
          "application/json, text/html",
        ),
        accept: fc.constantFrom("text/event-stream", "text/csv", "*/*", "x", ""),
        "idempotency-key": fc.constantFrom("k", "k".repeat(300), "", "\u00e9"),
        "last-event-id": fc.constantFrom("0", "-1", "x", "9".repeat(30), "1:2:3"),
        "x-request-id": fc.constantFrom("ok-1", "x".repeat(500), "a b"),
        range: fc.constantFrom("bytes=0-0", "bytes=9-1", "lines=1"),
        expect: fc.constantFrom("100-continue"),
        upgrade: fc.constantFrom("websocket", "h2c"),
        origin: fc.constantFrom("null", "http://evil.example"),
        cookie: fc.constantFrom("mags_session=x", "a=b; a=c", ";;;"),
      },
      { requiredKeys: [] },
    ) as fc.Arbitrary<Record<string, string>>,
  },
);

function bodies({ body, id }: Operation): fc.Arbitrary<Buffer | undefined> {
  const json = (value: fc.Arbitrary<unknown>) => value.map((each) => Buffer.from(JSON.stringify(each) ?? ""));
  const right = body ? valuesOf(body).map((value) => tamed(id, value)) : fc.constant({});
  return fc.oneof(
    { weight: 8, arbitrary: json(right) },
    { weight: 2, arbitrary: json(hostile) },
    { weight: 1, arbitrary: json(right).map((bytes) => bytes.subarray(0, bytes.length >> 1)) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map(Buffer.from) },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom(
          '{"a":1,"a":2}',
          '{"__proto__":{"x":1}}',
          "[",
          '{"a":1}{"b":2}',
          "\ufeff{}",
          "{'a':1}",
          '"\\ud800"',
          "1e9999",
          "[".repeat(100_000),
          `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`,
        )
        .map((text) => Buffer.from(text)),
    },
    { weight: 1, arbitrary: fc.constant(undefined) },
  );
}

/** What is asked for is not too much for the machine that the tests run on; what is not hostile ends soon. */
function tamed(id: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const bounded = value as Record<string, unknown>;
  if (id === "createJob" && typeof bounded.script === "string")
    return { ...bounded, script: "exit 0 #", persistent: false, timeout: 5, retries: 0 };
  if (id === "exec") return { ...bounded, timeout: 1 };
  return bounded;
}
