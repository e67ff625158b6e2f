import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inMachines } from "../harness/config.ts";
import { Daemon, untilEmpty } from "../harness/daemon.ts";

/** An emulated machine starts a program, and a node its machines, many times slower. */
const [LINES, JOBS, PATIENCE] = inMachines ? [700, 6, 4] : [2000, 20, 1];

let daemon: Daemon;
let mags: Mags;

beforeAll(async () => {
  daemon = await Daemon.start();
  mags = await daemon.client();
});
afterAll(() => daemon.remove());

const PRINT_TEN = "for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; sleep 1; done";

test(
  "a job whose server is killed with -9 completes with every line once",
  async () => {
    const { requestId } = await mags.run(PRINT_TEN);
    await delay(3000);
    await daemon.kill();
    await delay(2000);
    await daemon.start();
    const job = await mags.wait(requestId);
    expect(job).toMatchObject({ status: "completed", exit_code: 0 });
    const lines = (await mags.logs(requestId))
      .filter((entry) => entry.source === "stdout")
      .map((entry) => entry.message);
    expect(lines).toEqual(Array.from({ length: 10 }, (_, number) => `line ${number + 1}`));
  },
  PATIENCE * 90_000,
);

test(
  "a job that ends while nobody is there is completed by the next start",
  async () => {
    const { requestId } = await mags.run("sleep 2; echo late; exit 5");
    await delay(1000);
    await daemon.kill();
    await delay(3000);
    await daemon.start();
    expect(await mags.wait(requestId)).toMatchObject({ status: "completed", exit_code: 5 });
    expect((await mags.logs(requestId)).find((entry) => entry.source === "stdout")?.message).toBe("late");
  },
  PATIENCE * 60_000,
);

test(
  "a follower cut 20 times, with the server killed twice under it, has every byte once",
  async () => {
    const { requestId } = await mags.run(
      `i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); echo number $i; sleep 0.008; done`,
    );
    let cursor: string | undefined;
    let text = "";
    let ended = false;
    let cuts = 0;
    for (let restart = Promise.resolve(); !ended; await restart) {
      const leave = new AbortController();
      let seen = 0;
      for await (const item of mags.followLogs(requestId, { after: cursor, signal: leave.signal })) {
        if (item.type === "end") ended = true;
        else {
          cursor = item.cursor;
          if (item.source === "stdout") text += item.message + (item.newline ? "\n" : "");
          seen++;
        }
        // The follower that loses its server goes on by itself, and is cut later.
        if (seen === 10 && (cuts === 5 || cuts === 12)) restart = daemon.kill().then(() => daemon.start());
        if (seen === 25 && cuts < 20) leave.abort();
      }
      if (!ended) cuts++;
    }
    expect(cuts).toBe(20);
    expect(text).toBe(Array.from({ length: LINES }, (_, number) => `number ${number + 1}\n`).join(""));
  },
  PATIENCE * 120_000,
);

test(
  "kill -9 under load: every accepted job ends once and nothing is left over",
  async () => {
    const ids: string[] = [];
    for (let number = 0; number < JOBS; number++)
      ids.push((await mags.run(`sleep 0.${number % 10}; echo ${number}`)).requestId);
    await daemon.kill();
    await daemon.start();
    for (const [number, id] of ids.entries()) {
      const job = await mags.wait(id);
      expect(job).toMatchObject({ status: "completed", error: null });
      const lines = (await mags.logs(id)).filter((entry) => entry.source === "stdout").map((entry) => entry.message);
      expect(lines).toEqual([String(number)]);
    }
    await daemon.stop();
    await untilEmpty(() => daemon.leftovers()).finally(() => daemon.start());
  },
  PATIENCE * 90_000,
);

test(
  "a script that ran when the node lost its directory is not run again",
  async () => {
    const { requestId } = await mags.run("sleep 120", { workspaceId: "lost-directory" });
    while ((await mags.status(requestId)).status !== "running") await delay(100);
    await daemon.kill();
    await rm(join(daemon.dataDir, "agent/jobs"), { recursive: true });
    await daemon.start();
    const job = await mags.wait(requestId);
    expect(job).toMatchObject({ status: "error", reason: "supervisor_lost", error: expect.any(String) });
    expect(await mags.runAndWait("echo goes on", { workspaceId: "lost-directory" })).toMatchObject({ exitCode: 0 });
  },
  PATIENCE * 90_000,
);
