import fc from "fast-check";
import { expect, test } from "vitest";
import { dataHeader, encodeFrame, FrameDecoder, FrameError, MAX_FRAME_BYTES, type SessionFrame } from "./session.ts";

const size = { cols: fc.integer({ min: 1, max: 10_000 }), rows: fc.integer({ min: 1, max: 10_000 }) };
const text = fc.string({ unit: "grapheme" }).filter((value) => !value.includes("\0"));
const frame: fc.Arbitrary<SessionFrame> = fc.oneof(
  fc.record({
    type: fc.constantFrom("stdin" as const, "stdout" as const, "stderr" as const),
    data: fc.uint8Array({ maxLength: 300 }),
  }),
  fc.record({
    type: fc.constant("open" as const),
    value: fc.record(
      {
        argv: fc.array(text, { minLength: 1, maxLength: 5 }),
        detach: fc.boolean(),
        env: fc.dictionary(fc.stringMatching(/^[A-Z_]{1,9}$/), text, { noNullPrototype: true }),
        cwd: text,
        tty: fc.record({ ...size, term: fc.constant("xterm") }),
      },
      { requiredKeys: ["argv", "env", "detach"] },
    ),
  }),
  fc.record({ type: fc.constant("stdin_end" as const), value: fc.constant({}) }),
  fc.record({ type: fc.constant("resize" as const), value: fc.record(size) }),
  fc.record({ type: fc.constant("signal" as const), value: fc.constant({ signal: "SIGINT" }) }),
  fc.record({ type: fc.constant("credit" as const), value: fc.record({ bytes: fc.integer({ min: 1, max: 1e9 }) }) }),
  fc.record({
    type: fc.constant("exit" as const),
    value: fc.record({
      exit_code: fc.option(fc.nat(255)),
      signal: fc.option(fc.constant("SIGTERM")),
      error: fc.option(text),
      timed_out: fc.boolean(),
    }),
  }),
);

/** Frames as they mean the same: data of one kind that follows on itself is one. */
function merged(frames: Iterable<SessionFrame>): unknown[] {
  const result: { type: string; value?: unknown; bytes: number[] }[] = [];
  for (const item of frames) {
    const last = result.at(-1);
    if (!("data" in item)) result.push({ ...item, bytes: [] });
    else if (item.data.length > 0 && last?.type === item.type) last.bytes.push(...item.data);
    else if (item.data.length > 0) result.push({ type: item.type, bytes: [...item.data] });
  }
  return result;
}

test("frames come out as they went in, however the bytes are cut", () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 12 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 400 })),
      (frames, cuts) => {
        const bytes = Uint8Array.from(frames.flatMap((item) => [...encodeFrame(item)]));
        const decoder = new FrameDecoder();
        const out: SessionFrame[] = [];
        for (let at = 0; at < bytes.length; ) {
          const end = at + (cuts.next().value as number);
          // A copy, as each chunk of a connection is one.
          out.push(...decoder.push(bytes.slice(at, end)));
          at = end;
        }
        expect(merged(out)).toEqual(merged(frames));
      },
    ),
  );
});

test("a header and its data are the frame", () => {
  const data = Uint8Array.of(1, 2, 3);
  expect([...dataHeader("stdout", 3), ...data]).toEqual([...encodeFrame({ type: "stdout", data })]);
});

test("data is passed on before its frame is complete", () => {
  const decoder = new FrameDecoder();
  const [first] = decoder.push(Uint8Array.of(...dataHeader("stdin", 1000), 7, 8));
  expect(first).toEqual({ type: "stdin", data: Uint8Array.of(7, 8) });
});

test.each([
  ["an unknown type", Uint8Array.of(99, 0, 0, 0, 0), "no frame of type 99"],
  ["a frame that is too long", dataHeader("stdin", MAX_FRAME_BYTES + 1), "too long"],
  ["no JSON", Uint8Array.of(3, 0, 0, 0, 1, 0x7b), "resize holds no JSON"],
  ["a wrong value", encodeFrame({ type: "resize", value: { cols: 0, rows: 1 } }), "resize: cols"],
  [
    "a command with a NUL",
    encodeFrame({ type: "open", value: { argv: ["a\0b"], env: {}, detach: false } }),
    "open: argv.0 must not contain a NUL",
  ],
])("%s is refused", (_name, bytes, message) => {
  const decode = () => [...new FrameDecoder().push(bytes)];
  expect(decode).toThrow(FrameError);
  expect(decode).toThrow(message);
});

test("bytes at random are decoded or refused, and never anything else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        for (const _ of new FrameDecoder().push(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(FrameError);
      }
    }),
  );
});
