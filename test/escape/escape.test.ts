/**
 * Attempts of root in a sandbox to get out, or at others, made for real; the host and the neighbour look whether they have
 * noticed anything. Prints the table that docs/escape.md holds; `UPDATE_ESCAPES=1` writes it there.
 * The long form makes those on the kernel in a virtual machine, too.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { whole } from "./config.ts";
import { hostState } from "./host.ts";
import { keepTable, type Row } from "./table.ts";
import { type Inside, World } from "./world.ts";

const INSIDE = ["attempt.py", "kernel.py", "network.py", "limits.py", "main.py"];
const KERNEL = ["mounts", "devices", "processes of others", "the kernel", "namespaces and cgroups"];

let world: World;
let before: Record<string, string>;
const rows: Row[] = [];

beforeAll(async () => {
  world = await World.create({ MAGS_RUNTIME: "qemu" });
  before = await hostState(world);
}, 240_000);
afterAll(() => world?.remove());

async function attempts(attacker: Inside, runtime: Row["runtime"], groups: string[]): Promise<Row[]> {
  const files = world.mags.machineFiles(attacker.id);
  for (const name of INSIDE)
    await files.write(`/srv/escape/${name}`, await readFile(join(import.meta.dirname, "inside", name)), {
      parents: true,
    });
  const facts = JSON.stringify(world.facts(attacker, await disksOfHost(), runtime === "qemu"));
  const argv = ["python3", "/srv/escape/main.py", facts, ...groups];
  const { stdout, stderr, exitCode } = await world.mags.exec(attacker.id, argv, { timeout: 600 });
  expect([exitCode, stderr]).toEqual([0, ""]);
  const found = stdout
    .trim()
    .split("\n")
    .map((line) => ({ ...JSON.parse(line), runtime }) as Row);
  rows.push(...found);
  return found;
}

async function disksOfHost(): Promise<number[][]> {
  const lines = (await readFile("/proc/partitions", "utf8")).trim().split("\n").slice(2);
  return lines.map((line) => line.trim().split(/\s+/).slice(0, 2).map(Number)).slice(0, 40);
}

const succeeded = (found: Row[]) => found.filter(({ stopped }) => !stopped).map(({ name, by }) => `${name}: ${by}`);

async function nobodyNoticed(): Promise<void> {
  // What each of two attackers may have, and what ends by itself soon.
  const connections = await world.host.run("cat", "/proc/sys/net/netfilter/nf_conntrack_count");
  expect(Number(connections.stdout)).toBeLessThan(20_000);
  await world.sendHonest();
  for (const where of ["neighbour", "uplink"])
    await expect
      .poll(() => world.heard.some((line) => line.startsWith(`${where} HONEST-`)), { timeout: 20_000 })
      .toBe(true);
  expect(world.heard.filter((line) => line.includes("ESCAPED-"))).toEqual([]);
  expect(await hostState(world)).toEqual(before);
  expect(await world.shell(world.neighbour.id, "cat /root/secret; grep -v HONEST /root/seen")).toBe(
    "secret-of-the-neighbour\n",
  );
  expect((await world.mags.runAndWait("echo lives", { runtime: "container" })).stdout).toBe("lives\n");
}

test("root in a container gets at nothing that is not its own", async () => {
  const attacker = await world.sandbox("container");
  const found = await attempts(attacker, "container", [...KERNEL, "network", "raw packets"]);
  expect(found.length).toBeGreaterThan(60);
  expect(succeeded(found)).toEqual([]);
  await nobodyNoticed();
  world.heard.length = 0;
}, 240_000);

test("a container that takes all it can gets its share, and others theirs", async () => {
  const attacker = await world.sandbox("container");
  const found = await attempts(attacker, "container", ["limits"]);
  expect(succeeded(found)).toEqual([]);
  await nobodyNoticed();
}, 240_000);

test("root of a virtual machine has a kernel of its own, forges packets as it likes, and gets no further", async () => {
  const attacker = await world.sandbox("qemu");
  const found = await attempts(attacker, "qemu", ["network", "forged packets"]);
  expect(found.length).toBeGreaterThan(10);
  expect(succeeded(found)).toEqual([]);
  if (whole) await attempts(attacker, "qemu", KERNEL);
  await nobodyNoticed();
}, 360_000);

test("the table of docs/escape.md names these attempts and no other", async () => {
  expect(await keepTable(rows)).toEqual([]);
});
