import { appendFile, cp, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type LogSource, logSources } from "@mags/protocol";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type ObjectStore, openObjectStore } from "../objects/index.ts";
import { encodeRecord } from "./files.ts";
import { bringLog, keepLog, logPrefix } from "./kept.ts";
import { readLogs } from "./page.ts";

const END = {
  status: "completed",
  exit_code: 0,
  signal: null,
  reason: "exited",
  bytes: { stdout: 0, stderr: 0 },
  dropped: { stdout: 0, stderr: 0 },
};
const BIG = Object.assign(new Uint8Array(700_000).fill(65), { [fc.toStringMethod]: () => "700,000 bytes" });
const JOB = "0d5c32f8-7f8e-4b7e-9d40-1f5f3c0f0001";

let root: string;
let objects: ObjectStore;
beforeEach(async () => {
  root = await mkdtemp("/tmp/mags-kept-");
  objects = await openObjectStore({ kind: "directory", path: join(root, "objects") });
  await objects.check();
});
afterEach(() => rm(root, { recursive: true, force: true }));

const copy = () => ({ objects, org: "default", job: JOB });

async function newLog(name: string): Promise<string> {
  const dir = join(root, name);
  await cp(await mkdtemp(join(root, "empty-")), dir, { recursive: true });
  for (const file of [...logSources, "index"]) await writeFile(join(dir, file), "");
  return dir;
}

async function add(dir: string, source: LogSource, bytes: Uint8Array): Promise<void> {
  const offset = (await stat(join(dir, source))).size;
  await appendFile(join(dir, source), bytes);
  await appendFile(join(dir, "index"), encodeRecord({ time: Date.now(), source, offset, length: bytes.length }));
}

const contents = (dir: string) => Promise.all([...logSources, "index"].map((file) => readFile(join(dir, file), "hex")));

test("a copy has every byte of the log, however often and by whichever attempts it was made, and what a node that was given up adds does not count", async () => {
  const source = fc.constantFrom<LogSource>(...logSources);
  const output = fc.record({ do: fc.constant("add" as const), source, bytes: fc.uint8Array({ minLength: 1 }) });
  const big = fc.record({
    do: fc.constant("add" as const),
    source,
    bytes: fc.constant(BIG),
  });
  const other = fc.record({ do: fc.constantFrom("keep" as const, "again" as const, "move" as const) });
  const run = fc.array(
    fc.oneof({ weight: 5, arbitrary: output }, { weight: 1, arbitrary: big }, { weight: 3, arbitrary: other }),
    { maxLength: 30 },
  );
  let number = 0;
  await fc.assert(
    fc.asyncProperty(run, async (steps) => {
      const place = { ...copy(), job: `${JOB}-${number++}` };
      let dir = await newLog(`log-${number}`);
      let attempt = 1;
      for (const [at, step] of steps.entries()) {
        if (step.do === "add") await add(dir, step.source, step.bytes);
        if (step.do === "keep") await keepLog(place, dir, attempt);
        if (step.do === "again") attempt++;
        if (step.do !== "move") continue;
        await keepLog(place, dir, attempt);
        const next = join(root, `log-${number}-${at}`);
        const was = await contents(dir);
        if (!(await bringLog(place, next, { open: true }))) continue;
        expect(await contents(next)).toEqual(was);
        // The node of before does not know that it was given up.
        await add(dir, "stdout", Buffer.from("too late\n"));
        await writeFile(join(dir, "end.json"), JSON.stringify(END));
        await keepLog(place, dir, attempt);
        dir = next;
        attempt++;
        await add(dir, "system", Buffer.from("awake\n"));
        await keepLog(place, dir, attempt);
      }
      await add(dir, "stdout", Buffer.from("last"));
      await writeFile(join(dir, "end.json"), JSON.stringify(END));
      expect(await keepLog(place, dir, attempt)).toBe(true);
      const back = join(root, `back-${number}`);
      expect(await bringLog(place, back)).toBe(true);
      expect(await contents(back)).toEqual(await contents(dir));
      expect(await readLogs({ dir: back })).toEqual(await readLogs({ dir }));
    }),
    { numRuns: 60 },
  );
});

test("nothing is written where nothing is new, and a small log is one object however often it grew", async () => {
  const put = vi.spyOn(objects, "put");
  const dir = await newLog("log");
  for (let line = 0; line < 20; line++) {
    await add(dir, "stdout", Buffer.from(`line ${line}\n`));
    expect(await keepLog(copy(), dir, 1)).toBe(false);
    await keepLog(copy(), dir, 1);
  }
  expect(put.mock.calls.map(([key]) => key)).toEqual(Array(20).fill(`${logPrefix("default", JOB)}1-0`));
  for (let piece = 0; piece < 5; piece++) await add(dir, "stdout", new Uint8Array(600_000).fill(66));
  await keepLog(copy(), dir, 1);
  const keys = (await Array.fromAsync(objects.list(logPrefix("default", JOB)))).map(({ key }) => key.split("/").at(-1));
  expect(keys).toEqual(["1-0", "1-22", "1-24"]);
});

test("a copy that was made while its state was lost is made again, the same", async () => {
  const dir = await newLog("log");
  await add(dir, "stderr", Buffer.from("once\n"));
  await keepLog(copy(), dir, 1);
  await rm(join(dir, "kept.json"));
  await add(dir, "stderr", Buffer.from("twice\n"));
  await keepLog(copy(), dir, 1);
  await bringLog(copy(), join(root, "back"));
  expect((await readLogs({ dir: join(root, "back") })).logs.map(({ message }) => message)).toEqual(["once", "twice"]);
});

test("a part that is damaged is named, and where there is no copy nothing is touched", async () => {
  const dir = await newLog("log");
  expect(await bringLog(copy(), dir)).toBe(false);
  await add(dir, "stdout", Buffer.from("x\n"));
  await keepLog(copy(), dir, 1);
  await objects.put(`${logPrefix("default", JOB)}1-0`, Buffer.from("not zstd"));
  await expect(bringLog(copy(), join(root, "back"))).rejects.toThrow(
    /the part orgs\/default\/logs\/.*1-0 of a log cannot be read/,
  );
});
