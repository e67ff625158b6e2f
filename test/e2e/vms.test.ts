import { release } from "node:os";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";

/** Whole jobs in virtual machines, under software emulation where the host has no KVM. */
let daemon: Daemon;
beforeAll(async () => {
  daemon = await Daemon.start({ MAGS_RUNTIME: "qemu" });
});
afterAll(async () => {
  await daemon.stop();
  const left = await daemon.leftovers();
  await daemon.remove();
  expect(left).toEqual([]);
});

test("a job runs in a machine with a kernel of its own", async () => {
  const mags = await daemon.client();
  const result = await mags.runAndWait("uname -r; id -u; hostname; echo err >&2; exit 7");
  expect(result).toMatchObject({ status: "completed", exitCode: 7, stderr: "err\n" });
  const [kernel, id, name] = result.stdout.split("\n");
  expect(kernel).not.toBe(release());
  expect(id).toBe("0");
  const { body } = await daemon.http("GET", `/api/v1/mags-jobs/${result.requestId}/status`);
  expect(body.ran_by).toMatchObject({ driver: "qemu", machine: name, isolation: { level: "vm" } });
});

test("a job may ask for a container on a node that has both", async () => {
  const mags = await daemon.client();
  const result = await mags.runAndWait("uname -r", { runtime: "container" });
  expect(result.stdout.trim()).toBe(release());
});
