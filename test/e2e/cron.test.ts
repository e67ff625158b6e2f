/** Schedules whose jobs really run: what a firing does while an earlier one goes on, after a failure, and with a machine that sleeps. */
import { setTimeout as delay } from "node:timers/promises";
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";

const SOON = "*/2 * * * * *";
/** Longer than the time between two firings, so that they meet. */
const LONG = "sleep 5";

let daemon: Daemon;
let mags: Mags;
beforeAll(async () => {
  daemon = await Daemon.start({ MAGS_CRON_MIN_SECONDS: "1", MAGS_POOL_MAX: "2" });
  mags = await daemon.client();
});
afterAll(() => daemon.remove());

const runs = async (id: string) => (await mags.cron.runs(id, { pageSize: 100 })).runs.toReversed();
/** Runs whose jobs have ended, with the times of their scripts, in the order of their firings. */
async function spans(id: string) {
  const started = (await runs(id)).filter(({ request_id }) => request_id !== null);
  return Promise.all(
    started.map(async ({ request_id }) => {
      const { started_at, completed_at } = await mags.wait(request_id as string);
      return { from: Date.parse(started_at as string), to: Date.parse(completed_at as string) };
    }),
  );
}
const meet = (all: { from: number; to: number }[]) =>
  all.filter(({ from }, index) => all.slice(0, index).some((before) => from < before.to));

test("firings that meet are skipped, wait their turn, or run side by side, as the schedule says", async () => {
  const made = await Promise.all(
    (["skip", "queue", "allow"] as const).map((overlap) =>
      mags.cron.create({ name: overlap, cronExpression: SOON, script: LONG, overlap, memoryMb: 128 }),
    ),
  );
  const [skip = "", queue = "", allow = ""] = made.map(({ id }) => id);
  const states = async (id: string) => (await runs(id)).map(({ state }) => state);
  await expect.poll(async () => (await spans(queue)).length, { timeout: 60_000, interval: 500 }).toBeGreaterThan(1);
  for (const { id } of made) await mags.cron.update(id, { enabled: false });

  expect(await states(skip)).toContain("skipped");
  expect(meet(await spans(skip))).toEqual([]);
  expect((await runs(skip)).find(({ state }) => state === "skipped")?.reason).toBe("an earlier run was still going on");
  expect(await states(queue)).not.toContain("skipped");
  expect(meet(await spans(queue))).toEqual([]);
  expect(await states(allow)).not.toContain("skipped");
  expect((await meet(await spans(allow))).length).toBeGreaterThan(0);
  for (const { id } of made) await mags.cron.delete(id);
}, 120_000);

test("a firing that fails is tried again as often as the schedule says, counted, and forgotten with the next success", async () => {
  const options = { name: "fails", cronExpression: "@yearly", workspaceId: "tries", retries: 2, retryDelay: 1 };
  // Its disk tells which try it is.
  const script = 'echo try >> /root/tries; test "$(wc -l < /root/tries)" -gt 4 || exit 9';
  const { id } = await mags.cron.create({ ...options, script });
  await mags.cron.run(id);
  const ended = async () => (await runs(id)).filter(({ state }) => state === "failed" || state === "succeeded");
  await expect.poll(async () => (await ended()).length, { timeout: 60_000 }).toBe(3);
  expect(await ended()).toMatchObject([
    { kind: "manual", attempt: 0, state: "failed", exit_code: 9 },
    { kind: "retry", attempt: 1, state: "failed", exit_code: 9, from_version: 1, version: 2 },
    { kind: "retry", attempt: 2, state: "failed", exit_code: 9 },
  ]);
  expect(await mags.cron.get(id)).toMatchObject({ failure_count: 3, last_status: "failed", last_exit_code: 9 });
  await mags.cron.run(id);
  await expect.poll(async () => (await ended()).at(-1)?.state, { timeout: 60_000 }).toBe("succeeded");
  expect(await mags.cron.get(id)).toMatchObject({ failure_count: 0, last_status: "succeeded", last_exit_code: 0 });
}, 150_000);

test("a firing wakes the machine that has its workspace, runs in it, and lets it sleep again; its log says both", async () => {
  const box = { name: "box", persistent: true, workspaceId: "box-disk", idleMinutes: 0.05 };
  const { requestId } = await mags.runAndWait("echo of-the-box > /root/mark", box);
  const machine = () => mags.status(requestId);
  const asleep = () => expect.poll(async () => (await machine()).status, { timeout: 60_000 }).toBe("sleeping");
  await asleep();
  const { id } = await mags.cron.create({
    name: "visitor",
    cronExpression: SOON,
    script: "cat /root/mark; sleep 4; echo $MAGS_JOB_ID",
    workspaceId: "box-disk",
  });
  await expect.poll(async () => (await machine()).activity?.wakes, { timeout: 60_000 }).toBe(1);
  await mags.cron.update(id, { enabled: false });
  const [first] = await runs(id);
  const job = await mags.wait(first?.request_id as string);
  expect(job).toMatchObject({ status: "completed", exit_code: 0, created_by: "cron visitor", cron_id: id });
  expect((await mags.logs(job.request_id)).map(({ message }) => message)).toContain("of-the-box");
  await asleep();
  const said = (await mags.logs(requestId)).map(({ message }) => message).join("\n");
  expect(said).toMatch(/asleep: .*not used[\s\S]*awake: job visitor runs in its workspace[\s\S]*asleep: .*not used/);
  expect(await mags.cron.get(id)).toMatchObject({ last_status: "succeeded", last_request_id: job.request_id });
}, 150_000);

test("what was due while the daemon was down is made good when it is back", async () => {
  const { id, next_run_at } = await mags.cron.create({ name: "down", cronExpression: SOON, script: "echo made good" });
  await daemon.kill();
  await delay(Math.max(0, Date.parse(next_run_at as string) - Date.now()) + 1500);
  await daemon.start();
  const succeeded = async () => (await runs(id)).find(({ state }) => state === "succeeded");
  await expect.poll(succeeded, { timeout: 60_000 }).toBeDefined();
  expect((await runs(id))[0]).toMatchObject({ kind: "schedule", scheduled_at: next_run_at });
  await mags.cron.delete(id);
}, 120_000);
