/** The loss of a data directory: the objects are elsewhere, the rest comes back from a backup. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon, untilEmpty } from "../harness/daemon.ts";

let dir: string;
let daemon: Daemon;
beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-backup-");
  daemon = await Daemon.start({ MAGS_STORE: join(dir, "objects") });
});
afterAll(async () => {
  await daemon?.remove();
  await rm(dir, { recursive: true, force: true });
});

test("after the loss of its data directory a Mags is what its backup says, files of workspaces included", async () => {
  const file = join(dir, "mags.tar.zst");
  const mags = await daemon.client();
  await mags.runAndWait("echo one > note; mkdir -p deep/er; echo leaf > deep/er/leaf", { workspaceId: "diary" });
  await mags.runAndWait("echo two > note", { workspaceId: "diary" });
  await mags.cron.create({ name: "nightly", script: "true", cronExpression: "@daily" });
  const { requestId: running } = await mags.run("sleep 600", { name: "half-done" });
  const { requestId: kept } = await mags.run("echo here > state", { persistent: true, name: "server", noSleep: true });
  await mags.wait(kept);
  await mags.sync(kept);
  await untilEmpty(async () => ((await mags.status(running)).status === "running" ? [] : ["not running"]));
  const taken = await daemon.cli(["backup", file]);
  expect([taken.stderr, taken.exitCode]).toEqual(["", 0]);
  expect((await daemon.cli(["restore", "--check", file])).stdout).toContain("whole: backup of");
  // While it runs, and over what is there, nothing is restored.
  expect((await daemon.cli(["restore", file])).stderr).toContain("another magsd is running");
  await daemon.loseDataDir();
  const restored = await daemon.cli(["restore", file]);
  expect([restored.stderr, restored.exitCode]).toEqual(["", 0]);
  expect(restored.stdout).toContain("restored: backup of");
  expect((await daemon.cli(["restore", file])).stderr).toContain("the database is not empty");
  await daemon.start();
  const again = await daemon.client();
  expect((await again.runAndWait("cat note deep/er/leaf", { workspaceId: "diary" })).stdout).toBe("two\nleaf\n");
  expect((await again.runAndWait("cat note", { baseWorkspaceId: "diary@1" })).stdout).toBe("one\n");
  expect((await again.cron.list()).cron_jobs.map(({ name }) => name)).toEqual(["nightly"]);
  const lost = await again.wait(running, { waitTimeout: 60 });
  expect(lost).toMatchObject({ status: "error", reason: "node_lost" });
  await again.wake(kept);
  expect((await again.exec(kept, "cat state")).stdout).toBe("here\n");
});

test("a file that is no backup, or a part of one, is refused with a reason", async () => {
  const file = join(dir, "nonsense");
  await writeFile(file, "nonsense");
  const refused = await daemon.cli(["restore", "--check", file]);
  expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining("this is no whole backup")]);
  const absent = await daemon.cli(["restore", "--check", join(dir, "absent")]);
  expect([absent.exitCode, absent.stderr]).toEqual([1, expect.stringContaining("no such file")]);
});
