/** Extent maps of real files on XFS, compared with what the bytes say. */
import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { punchHole, run } from "@mags/kit";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { changedRanges, dataRanges, type Range } from "./ranges.ts";
import { makeWorld, type World } from "./testing/world.ts";

const KiB = 1024;
const SIZE = 512 * KiB;
let world: World;
let files = 0;
beforeAll(async () => {
  world = await makeWorld();
});
afterAll(() => world.close());

const fresh = () => world.at(`file-${files++}`);
const copyOf = (path: string) => {
  const copy = fresh();
  world.store.clone(path, copy);
  return copy;
};

function edit(path: string, work: (fd: number) => void): void {
  const fd = openSync(path, "r+");
  try {
    work(fd);
  } finally {
    closeSync(fd);
  }
}

/** Offsets of bytes of `b` that differ from `a`, where no range has them; bytes behind the end of `a` are zeros. */
function missed(a: string, b: string, ranges: Range[]): number[] {
  const [before, after] = [readFileSync(a), readFileSync(b)];
  const missing: number[] = [];
  for (let at = 0; at < after.length; at++) {
    if (after[at] !== (before[at] ?? 0) && !ranges.some(({ start, end }) => start <= at && at < end)) missing.push(at);
  }
  return missing;
}

type Step =
  | { do: "write"; at: number; length: number; fill: number }
  | { do: "punch"; at: number; length: number }
  | { do: "size"; size: number }
  | { do: "reserve"; at: number; length: number }
  | { do: "snapshot" };

const place = { at: fc.nat(SIZE), length: fc.integer({ min: 1, max: 100 * KiB }) };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("write" as const), ...place, fill: fc.integer({ min: 0, max: 255 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("punch" as const), ...place }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("size" as const), size: fc.integer({ min: 1, max: SIZE + 64 * KiB }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reserve" as const), ...place }) },
  { weight: 1, arbitrary: fc.constant({ do: "snapshot" as const }) },
);

async function perform(path: string, steps: Step[]): Promise<void> {
  for (const each of steps) {
    if (each.do === "write")
      edit(path, (fd) => writeSync(fd, Buffer.alloc(each.length, each.fill), 0, each.length, each.at));
    else if (each.do === "punch") edit(path, (fd) => punchHole(fd, each.at, each.length));
    else if (each.do === "size") truncateSync(path, each.size);
    else if (each.do === "reserve") await run("fallocate", ["-o", String(each.at), "-l", String(each.length), path]);
    else await rm(copyOf(path));
  }
}

test("every byte that differs lies in a range, whatever was written, punched, cut, grown or reserved", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.array(step, { maxLength: 12 }), async (before, after) => {
      const live = fresh();
      writeFileSync(live, "");
      await perform(live, before);
      const a = copyOf(live);
      await perform(live, after);
      const b = copyOf(live);
      const ranges = await changedRanges(a, b);
      expect(missed(a, b, ranges)).toEqual([]);
      expect(missed("/dev/null", b, await dataRanges(b))).toEqual([]);
      const { size } = statSync(b);
      for (const [index, { start, end }] of ranges.entries()) {
        expect(start).toBeLessThan(end);
        expect(end).toBeLessThanOrEqual(size);
        expect(start).toBeGreaterThan(ranges[index - 1]?.end ?? -1);
      }
      await Promise.all([live, a, b].map((path) => rm(path)));
    }),
    { numRuns: 150 },
  );
});

test("a copy has no changed range, and one page that is written is one range", async () => {
  const live = fresh();
  writeFileSync(live, Buffer.alloc(64 * 1024 * KiB, 7));
  const a = copyOf(live);
  expect(await changedRanges(a, copyOf(live))).toEqual([]);
  edit(live, (fd) => writeSync(fd, "x", 5_000_000));
  const ranges = await changedRanges(a, copyOf(live));
  expect(ranges).toHaveLength(1);
  const [range] = ranges as [Range];
  expect(range.start).toBeLessThanOrEqual(5_000_000);
  expect(range.end).toBeGreaterThan(5_000_000);
  expect(range.end - range.start).toBeLessThanOrEqual(256 * KiB);
});

test("what is still in memory only counts as well", async () => {
  const live = fresh();
  writeFileSync(live, Buffer.alloc(1024 * KiB, 7));
  const a = copyOf(live);
  edit(live, (fd) => writeSync(fd, Buffer.alloc(4 * KiB, 8), 0, 4 * KiB, 512 * KiB));
  expect(missed(a, live, await changedRanges(a, live))).toEqual([]);
});

test("a file of very many pieces is compared whole", async () => {
  const live = fresh();
  writeFileSync(live, "");
  const PIECES = 5000;
  edit(live, (fd) => {
    ftruncateSync(fd, PIECES * 8 * KiB);
    for (let piece = 0; piece < PIECES; piece++) writeSync(fd, "data", piece * 8 * KiB);
  });
  expect(await dataRanges(live)).toHaveLength(PIECES);
  const a = copyOf(live);
  edit(live, (fd) => writeSync(fd, "else", (PIECES - 1) * 8 * KiB));
  expect(await changedRanges(a, copyOf(live))).toEqual([
    { start: (PIECES - 1) * 8 * KiB, end: (PIECES - 1) * 8 * KiB + 4 * KiB },
  ]);
});

test("space that is reserved but not written is no data", async () => {
  const live = fresh();
  writeFileSync(live, Buffer.alloc(4 * KiB, 1));
  const a = copyOf(live);
  await run("fallocate", ["-o", String(64 * KiB), "-l", String(64 * KiB), live]);
  expect(await dataRanges(live)).toEqual([{ start: 0, end: 4 * KiB }]);
  expect(await changedRanges(a, copyOf(live))).toEqual([]);
});
