import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { LogCapture } from "./capture.ts";
import { Mask } from "./mask.ts";

/** Feeds a text in pieces, as a pipe does that keeps what was not taken. */
function through(mask: Mask, text: Buffer, cuts: number[]): string {
  const shown: Buffer[] = [];
  let [from, at] = [0, 0];
  for (const cut of [...cuts, text.length]) {
    at = Math.min(text.length, at + cut);
    const result = mask.apply(text.subarray(from, at), false);
    shown.push(result.shown);
    from += result.taken;
  }
  shown.push(mask.apply(text.subarray(from), true).shown);
  return Buffer.concat(shown).toString();
}

test("a value is masked however the output is cut into pieces, and nothing else is changed", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "\n", "ü"), maxLength: 40 });
  const value = fc.string({ unit: fc.constantFrom("a", "b", "ü"), minLength: 4, maxLength: 8 });
  fc.assert(
    fc.property(fc.array(letters), value, fc.array(fc.nat(12)), (texts, secret, cuts) => {
      const text = texts.join(secret);
      const out = through(new Mask([secret]), Buffer.from(text), cuts);
      expect(out).not.toContain(secret);
      expect(out.length).toBeLessThanOrEqual(text.length);
      if (!text.includes(secret)) expect(out).toBe(text);
    }),
  );
});

test.each([
  [["hunter22"], "pw=hunter22;", "pw=***;"],
  [["hunter22\n"], "hunter22 hunter2", "*** hunter2"],
  [["abcd", "cdef"], "xabcdefx", "x***x"],
  [["abcd", "abcdef"], "abcdef", "***"],
  [["line one\nline two"], "line one\nline two\n", "***\n"],
  [["abc"], "abc is too short to be worth it", "abc is too short to be worth it"],
])("values %j in %j", (values, text, shown) => {
  for (const size of [1, 2, 3, 100]) {
    const cuts = Array.from({ length: text.length }, () => size);
    expect(through(new Mask(values), Buffer.from(text), cuts)).toBe(shown);
  }
});

test("a log shows no value that was printed in pieces, also across a change of the process that reads it", async () => {
  const dir = await mkdtemp("/tmp/mags-mask-");
  const options = { dir, limitBytes: 1000, mask: ["very-secret-value"] };
  let log = LogCapture.open(options);
  const pipe = await open(join(dir, "stdout.fifo"), "r+");
  try {
    await pipe.write("before very-sec");
    log.drain();
    expect(await readFile(join(dir, "stdout"), "utf8")).toBe("before ");
    // What is held back is still in the pipe.
    log.close();
    log = LogCapture.open(options);
    await pipe.write("ret-value after\nvery-");
    log.drain();
    expect(await readFile(join(dir, "stdout"), "utf8")).toBe("before *** after\n");
    await pipe.write(`${"x".repeat(2000)}`);
    log.finish({ status: "completed", exit_code: 0, signal: null, reason: "exited" });
    const text = await readFile(join(dir, "stdout"), "utf8");
    expect(text).toBe(`before *** after\nvery-${"x".repeat(1000 - 22)}`);
    expect(JSON.parse(await readFile(join(dir, "end.json"), "utf8")).dropped.stdout).toBe(2000 - 978);
  } finally {
    await pipe.close();
    log.close();
    await rm(dir, { recursive: true });
  }
});
