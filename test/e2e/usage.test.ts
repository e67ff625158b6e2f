/** What real machines use: the time that they are up, and what they send into a network that is this test's own. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Mags } from "@mags/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, Lan, type Machine, NETWORK } from "../harness/machines.ts";

/** 100 packets of 1,000 bytes, with the heads of UDP and IP; nobody listens there. */
const SEND = `python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(100): s.sendto(b"x" * 1000, ("${NETWORK}.1", 9))'`;
const ONCE = 100 * 1028;

let lan: Lan;
let machine: Machine;
let mags: Mags;
beforeAll(async () => {
  lan = await Lan.create();
  machine = await lan.machine("meter");
  await machine.start();
  const apiToken = (await readFile(join(machine.dataDir, "admin.token"), "utf8")).trim();
  mags = new Mags({ apiUrl: `http://${machine.address}:7070`, apiToken });
}, 120_000);
afterAll(() => lan.remove());

const workspaces = async () => (await mags.usageReport({ by: ["workspace"] })).rows;
const egress = async (workspace: string) =>
  (await workspaces()).find((row) => row.workspace === workspace)?.egress_bytes ?? 0;
const sent = (workspace: string, bytes: number) =>
  expect.poll(() => egress(workspace), { timeout: 60_000 }).toBe(bytes);

test("what a machine sends counts to its end, over a killed daemon and a sleep, and no byte twice", async () => {
  await mags.new("sender");
  await mags.exec("sender", SEND);
  await machine.kill();
  await machine.start();
  await eventually(() => mags.exec("sender", SEND), 60);
  await sent("sender", 2 * ONCE);
  await mags.exec("sender", SEND);
  await mags.sleep("sender");
  await sent("sender", 3 * ONCE);
  await mags.wake("sender");
  await mags.exec("sender", SEND);
  await mags.stop("sender");
  await sent("sender", 4 * ONCE);
  await mags.runAndWait(SEND, { workspaceId: "sender" });
  await sent("sender", 5 * ONCE);
}, 240_000);

test("what was dropped on its way, and what stays on the host, is not counted", async () => {
  await mags.runAndWait(SEND.replace(`${NETWORK}.1`, "10.9.9.9"), { workspaceId: "dropped" });
  await mags.runAndWait(SEND, { workspaceId: "after" });
  await sent("after", ONCE);
  expect(await egress("dropped")).toBe(0);
}, 120_000);

test("machine time is from start to end without the sleep, times what the machine might use", async () => {
  await mags.new("timed", { vcpus: 2, memoryMb: 256 });
  await mags.sleep("timed");
  await delay(3000);
  const seconds = async () => {
    const row = (await workspaces()).find(({ workspace }) => workspace === "timed");
    return { vcpu: row?.vcpu_seconds ?? 0, gb: row?.gb_seconds ?? 0 };
  };
  const before = await seconds();
  await delay(1000);
  const asleep = await seconds();
  expect([asleep.vcpu, asleep.gb]).toEqual([expect.closeTo(before.vcpu, 6), expect.closeTo(before.gb, 6)]);
  expect(before.vcpu / 2).toBeCloseTo(before.gb * 4, 6);
  const { started_at } = await mags.status("timed");
  expect(before.vcpu / 2).toBeLessThanOrEqual((Date.now() - Date.parse(String(started_at))) / 1000 - 4);
  await mags.wake("timed");
  await mags.stop("timed");
  expect((await seconds()).vcpu).toBeGreaterThan(before.vcpu);
}, 120_000);

test("the command line prints the same", async () => {
  const { stdout, exitCode } = await machine.mags("usage", "--by", "workspace", "--csv");
  expect(exitCode).toBe(0);
  expect(String(stdout)).toMatch(/^workspace,jobs,vcpu_seconds,gb_seconds,storage_gb_hours,egress_bytes\r?\n/);
  expect(String(stdout)).toContain(`after,1,`);
}, 60_000);
