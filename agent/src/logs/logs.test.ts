import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { mount, spawn, unmount } from "@mags/kit";
import type { LogEntry, LogSource } from "@mags/protocol";
import { readLogs } from "@mags/storage";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LogCapture } from "./capture.ts";
import { followLogs } from "./follow.ts";

/** a mount that is there gets other options */
const MS_REMOUNT = 32;
const END = { status: "completed", exit_code: 0, signal: null, reason: "exited" };
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp("/tmp/mags-logs-");
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** Runs a shell script with the log's FIFOs as its output, opened as the wrapper opens them. */
const writer = (script: string) =>
  spawn("sh", ["-c", `exec 1<>"$1" 2<>"$2"; ${script}`, "sh", join(dir, "stdout.fifo"), join(dir, "stderr.fifo")], {
    stdio: "ignore",
  });

const bytesOf = (entry: LogEntry) =>
  Buffer.concat([Buffer.from(entry.message, entry.encoding ?? "utf8"), Buffer.from(entry.newline ? "\n" : "")]);
const joined = (entries: LogEntry[], source: LogSource) =>
  Buffer.concat(entries.filter((entry) => entry.source === source).map(bytesOf));

/** Everything of a stream, page by page. */
async function allOf(source: LogSource): Promise<string> {
  const entries: LogEntry[] = [];
  for (let after: string | undefined; ; ) {
    const page = await readLogs({ dir, after });
    entries.push(...page.logs);
    if (page.next === null) return joined(entries, source).toString();
    after = page.next;
  }
}

/** Takes the last block of a file system. */
function fill(path: string): void {
  try {
    for (;;) appendFileSync(path, Buffer.alloc(4096));
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC");
  }
}

describe("a log", () => {
  test("has each stream's bytes, in order of arrival, with offsets that tile it", async () => {
    const log = LogCapture.open({ dir, limitBytes: 1e6 });
    await writer("echo one; sleep 0.1; echo two >&2; sleep 0.1; printf three");
    log.finish(END);
    log.close();
    const { logs, end } = await readLogs({ dir });
    expect(logs.map((entry) => [entry.source, entry.message, entry.offset, entry.bytes, entry.newline])).toEqual([
      ["stdout", "one", 0, 4, true],
      ["stderr", "two", 0, 4, true],
      ["stdout", "three", 4, 5, false],
    ]);
    expect(end).toMatchObject({ ...END, bytes: { stdout: 9, stderr: 4 }, dropped: { stdout: 0, stderr: 0 } });
  });

  test("gives every byte once, however it was written and wherever reading was cut", async () => {
    const pieces = fc.array(fc.tuple(fc.constantFrom("stdout", "stderr"), fc.uint8Array({ maxLength: 40 })), {
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(pieces, fc.integer({ min: 1, max: 5 }), async (writes, page) => {
        const dir = await mkdtemp("/tmp/mags-logs-");
        const log = LogCapture.open({ dir, limitBytes: 1e6 });
        const expected = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
        for (const [source, bytes] of writes as ["stdout" | "stderr", Uint8Array][]) {
          appendFileSync(join(dir, `${source}.fifo`), bytes);
          expected[source] = Buffer.concat([expected[source], bytes]);
          log.drain();
        }
        log.finish(END);
        log.close();
        const entries: LogEntry[] = [];
        let after: string | undefined;
        for (;;) {
          const answer = await readLogs({ dir, after, limit: page });
          entries.push(...answer.logs);
          if (answer.next === null) break;
          after = answer.next;
        }
        expect(joined(entries, "stdout")).toEqual(expected.stdout);
        expect(joined(entries, "stderr")).toEqual(expected.stderr);
        await rm(dir, { recursive: true });
      }),
      { numRuns: 60 },
    );
  });

  test("loses and doubles nothing when its process is killed 20 times", async () => {
    const program = new URL("./testing/capture-process.ts", import.meta.url).pathname;
    const capture = async () => {
      const child = spawn(process.execPath, [program, dir], { reject: false, buffer: false });
      await new Promise((resolve) => child.stdout?.once("data", resolve));
      return { child };
    };
    let { child } = await capture();
    // As the wrapper does: what a pipe holds goes with its last holder.
    const holder = await open(join(dir, "stdout.fifo"), "r+");
    const writing = writer(
      'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo "line $i"; [ $((i % 50)) -ne 0 ] || sleep 0.02; done',
    );
    for (let kills = 0; kills < 20; kills++) {
      await delay(Math.random() * 150);
      child.kill("SIGKILL");
      await child;
      ({ child } = await capture());
    }
    await writing;
    child.kill("SIGKILL");
    await child;
    const log = LogCapture.open({ dir, limitBytes: 1e8 });
    log.finish(END);
    log.close();
    await holder.close();
    const lines = (await allOf("stdout")).trimEnd().split("\n");
    expect(lines.length).toBe(20_000);
    expect(lines.findIndex((line, number) => line !== `line ${number + 1}`)).toBe(-1);
  }, 120_000);

  test("keeps what fits its limit, takes the rest so that the writer goes on, and says how much", async () => {
    const log = LogCapture.open({ dir, limitBytes: 1000 });
    await writer("head -c 5000000 /dev/zero; echo done >&2");
    log.finish(END);
    expect(log.truncated).toBe(true);
    log.close();
    const { logs, end } = await readLogs({ dir });
    expect(joined(logs, "stdout").length).toBe(1000);
    expect(end?.dropped).toEqual({ stdout: 4_999_000, stderr: 5 });
    expect(logs.filter((entry) => entry.level === "warn")).toHaveLength(2);
  });

  test.each([
    ["as it is", []],
    ["with values to mask", ["never-printed"]],
  ])("on a full disk loses and doubles nothing, %s, and goes on when there is room", async (_, mask) => {
    mount("tmpfs", "test", dir, "size=256k");
    const failures: string[] = [];
    const failed = (error: Error) => failures.push((error as NodeJS.ErrnoException).code ?? "");
    let log = LogCapture.open({ dir, limitBytes: 1e6, mask, failed });
    const holder = await open(log.stdoutFifo, "r+");
    try {
      const filler = join(dir, "filler");
      writeFileSync(filler, Buffer.alloc(128 * 1024));
      const writing = writer("seq 40000");
      await vi.waitFor(() => expect(failures).toEqual(["ENOSPC"]), 20_000);
      // Also for the next process, which says that it is there.
      log.close();
      log = LogCapture.open({ dir, limitBytes: 1e6, mask, failed });
      for (let line = 0; line < 200; line++) log.system("the agent was restarted; the job goes on");
      await vi.waitFor(() => expect(failures).toEqual(["ENOSPC", "ENOSPC"]), 20_000);
      expect(() => log.finish(END)).toThrow("ENOSPC");
      rmSync(filler);
      mount("", "test", dir, "size=4m", MS_REMOUNT);
      await writing;
      log.finish(END);
      const expected = Array.from({ length: 40_000 }, (_, line) => `${line + 1}\n`).join("");
      expect((await allOf("stdout")) === expected).toBe(true);
    } finally {
      await holder.close();
      log.close();
      unmount(dir);
    }
  });

  test("whose index has no room for what its file had has it there later, once", async () => {
    mount("tmpfs", "test", dir, "size=64k");
    const log = LogCapture.open({ dir, limitBytes: 1e6 });
    try {
      let expected = "";
      const print = (line: number) => {
        expected += `${line}\n`;
        appendFileSync(log.stdoutFifo, `${line}\n`);
        log.drain();
      };
      print(0);
      fill(join(dir, "filler"));
      // A record takes more than a line, so that the first page of the index is full before that of the stream.
      let line = 1;
      expect(() => {
        for (; line < 1000; line++) print(line);
      }).toThrow("ENOSPC");
      expect(readFileSync(join(dir, "stdout"), "utf8")).toBe(expected);
      for (const more of [1, 2, 3]) expect(() => print(line + more)).toThrow("ENOSPC");
      rmSync(join(dir, "filler"));
      print(1001);
      log.finish(END);
      expect(await allOf("stdout")).toBe(expected);
    } finally {
      log.close();
      unmount(dir);
    }
  });

  test("is followed as it grows; an unfinished line is shown after a moment, and completed", async () => {
    const log = LogCapture.open({ dir, limitBytes: 1e6 });
    const seen: string[] = [];
    const reading = (async () => {
      for await (const item of followLogs({ dir, live: log, signal: new AbortController().signal })) {
        seen.push("end" in item ? "end" : `${item.entry.message}${item.entry.newline ? "$" : ""}`);
      }
    })();
    const writing = writer(`printf "name? "; until [ -e ${dir}/answer ]; do sleep 0.05; done; echo bob`);
    await vi.waitFor(() => expect(seen).toEqual(["name? "]), 20_000);
    await writeFile(join(dir, "answer"), "");
    await writing;
    log.finish(END);
    await reading;
    log.close();
    expect(seen).toEqual(["name? ", "bob$", "end"]);
  });
});
