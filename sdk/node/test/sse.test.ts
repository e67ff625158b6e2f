import fc from "fast-check";
import { expect, test } from "vitest";
import { parseEvents, type ServerSentEvent } from "../src/sse.ts";
import { collect } from "./wire.ts";

async function parse(bytes: Uint8Array, cuts: number[] = []): Promise<ServerSentEvent[]> {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  async function* chunks() {
    for (let part = 1; part < places.length; part++) yield bytes.subarray(places[part - 1], places[part]);
  }
  return collect(parseEvents(chunks()));
}
const utf8 = (text: string) => new TextEncoder().encode(text);
const lineEnd = fc.constantFrom("\n", "\r", "\r\n");
const lineText = fc.string({ unit: "binary", maxLength: 12 }).map((text) => text.replace(/[\r\n\0\ufeff]/g, "é"));
const cuts = fc.array(fc.nat(), { maxLength: 40 });

test("any chunking of a written stream gives the events that were written", async () => {
  const event = fc.record({ event: lineText, id: lineText, data: fc.array(lineText, { minLength: 1, maxLength: 3 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 6 }), lineEnd, cuts, async (events, end, places) => {
      const blocks = events.map(({ event, id, data }) =>
        [
          ": heartbeat",
          "retry: 500",
          `event: ${event}`,
          `id: ${id}`,
          ...data.map((line) => `data: ${line}`),
          "",
          "",
        ].join(end),
      );
      const expected = events.map(({ event, id, data }) => ({ event: event || "message", id, data: data.join("\n") }));
      expect(await parse(utf8(blocks.join("")), places)).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});

test("any chunking of any bytes gives the same events", async () => {
  const soup = fc.array(
    fc.oneof(lineEnd, lineText, fc.constantFrom("data", "data:", "data: ", "id: 1", "event: x", ":", "\ufeff", "\0")),
    { maxLength: 40 },
  );
  const bytes = fc.oneof(
    soup.map((parts) => utf8(parts.join(""))),
    fc.uint8Array({ maxLength: 60 }),
  );
  await fc.assert(
    fc.asyncProperty(bytes, cuts, async (given, places) => {
      expect(await parse(given, places)).toEqual(await parse(given));
    }),
    { numRuns: 1000 },
  );
});

test("an event that was not finished is not an event", async () => {
  expect(await parse(utf8("id: 1\ndata: whole\n\nid: 2\ndata: half\n"))).toEqual([
    { event: "message", id: "1", data: "whole" },
  ]);
});

test("a line of many chunks costs its length, not the square of it", async () => {
  const bytes = utf8(`data: ${"x".repeat(4_000_000)}\n\n`);
  const every = Array.from({ length: 4000 }, (_, number) => number * 1000);
  const started = performance.now();
  expect((await parse(bytes, every))[0]?.data).toHaveLength(4_000_000);
  expect(performance.now() - started).toBeLessThan(5000);
});
