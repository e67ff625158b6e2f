/** Every kind of leftover on a machine, made for real: found, told in words, and taken away on request. */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run as runCommand, spawn } from "@mags/kit";
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";
import { run, start, until } from "../harness/workspaces.ts";

let daemon: Daemon;
let mags: Mags;
let instance: string;
beforeAll(async () => {
  daemon = await Daemon.start();
  mags = await daemon.client();
  instance = createHash("sha256").update(daemon.dataDir).digest("hex").slice(0, 8);
});
afterAll(() => daemon.remove());

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );
/** Whether a loop device, whose number may be another's by now, is over that disk. */
const isOver = async (device: string, id: string) => {
  const path = `/sys/block/${device.split("/").at(-1)}/loop/backing_file`;
  return (await readFile(path, "utf8").catch(() => "")).includes(`${id}.ext4`);
};
/** A path as the daemon sees it, whose mounts are its own. */
const inside = (path: string) => `/proc/${daemon.pid}/root${path}`;

/** Leaves of a sandbox that nobody has, what a kill -9 at the worst moment may leave; answers how each is called and is looked for. */
async function leaveThings(): Promise<{ what: string; there: () => Promise<boolean> }[]> {
  const memory = "/sys/fs/cgroup/memory";
  const root = (await exists(`${memory}/mags-${instance}`)) ? memory : "/sys/fs/cgroup";
  const [id, second, third] = [1, 2, 3].map(() => `m${randomBytes(6).toString("hex")}`) as [string, string, string];
  const cgroup = `${root}/mags-${instance}/${id}`;
  await mkdir(cgroup);
  const process = spawn("sleep", ["1000"], { reject: false });
  await writeFile(`${cgroup}/cgroup.procs`, String(process.pid));
  const directory = `/run/mags/${instance}/sandboxes/${second}`;
  await mkdir(directory);
  const machines = join(daemon.dataDir, "agent/store/volumes/machines");
  const disk = join(machines, `${third}.ext4`);
  await writeFile(inside(disk), Buffer.alloc(4096));
  const device = await nsenter("losetup", "--show", "-f", disk);
  const link = `mg${instance.slice(0, 6)}-4001`;
  await runCommand("ip", ["link", "add", link, "type", "veth", "peer", "name", `p${instance.slice(0, 6)}`]);
  const netns = `/run/netns/mags-${instance}-4002`;
  await writeFile(netns, "");
  const job = randomUUID();
  const jobDirectory = join(daemon.dataDir, "agent/jobs", job);
  await mkdir(jobDirectory);
  return [
    { what: `cgroup ${id}`, there: () => exists(cgroup) },
    { what: `directory ${second}`, there: () => exists(directory) },
    { what: `disk ${third}`, there: () => exists(inside(disk)) },
    { what: `loop ${third}`, there: () => isOver(device, third) },
    { what: "network 4001", there: () => exists(`/sys/class/net/${link}`) },
    { what: "network 4002", there: () => exists(netns) },
    { what: `job_directory ${job}`, there: () => exists(jobDirectory) },
  ];
}

const nsenter = (...command: string[]) => runCommand("nsenter", [`--mount=/proc/${daemon.pid}/ns/mnt`, ...command]);

test("where ledger, machine and store agree nothing is told, while jobs come and go, and the exit code is 0", async () => {
  const id = await start(daemon, { workspace_id: "kept", persistent: true, script: "echo x >/root/file" });
  await until(daemon, id, ({ exit_code }) => exit_code === 0);
  const busy = (async () => {
    for (let round = 0; round < 8; round++) await run(daemon, { script: "true" });
  })();
  const looked = await daemon.cli(["fsck", "--json"]);
  expect(JSON.parse(String(looked.stdout)), String(looked.stderr)).toMatchObject({ clean: true, differences: [] });
  expect(looked.exitCode).toBe(0);
  await busy;
  const { looked_at } = await mags.nodes.fsck();
  expect(looked_at.nodes).toBe(1);
  expect(Math.min(looked_at.jobs, looked_at.workspaces, looked_at.traces)).toBeGreaterThan(0);
}, 120_000);

test("what belongs to nothing that lives is told with exit code 1, taken away on request, and no sandbox with it", async () => {
  const left = await leaveThings();
  const told = await daemon.cli(["fsck"]);
  expect([told.exitCode, told.stdout]).toEqual([1, expect.stringContaining("belongs to nothing that lives")]);
  const { clean, differences } = await mags.nodes.fsck();
  expect(clean).toBe(false);
  expect(differences.map(({ what }) => what).sort()).toEqual(left.map(({ what }) => what).sort());
  for (const { what, there } of left) expect(await there(), what).toBe(true);
  const repaired = await daemon.cli(["fsck", "--repair", "--json"]);
  const report = JSON.parse(String(repaired.stdout));
  expect(report.differences.filter((each: { repaired: boolean }) => !each.repaired)).toEqual([]);
  expect(report.differences.map(({ what }: { what: string }) => what).sort()).toEqual(
    left.map(({ what }) => what).sort(),
  );
  expect([repaired.exitCode, report.clean]).toEqual([0, true]);
  for (const { what, there } of left) expect(await there(), what).toBe(false);
  // The machine that is up is as it was.
  const guest = await run(daemon, { workspace_id: "kept", script: "cat /root/file" });
  expect(guest).toMatchObject({ status: "completed", stdout: ["x"] });
}, 180_000);

test("a firewall that is not there is told, and no repair is promised", async () => {
  const { stdout } = await daemon.cli(["list", "--json"]);
  expect(JSON.parse(String(stdout)).total).toBeGreaterThan(0);
  await runCommand("nft", ["delete", "table", "inet", `mags_${instance}_policies`]);
  const { differences } = await mags.nodes.fsck({ repair: true });
  expect(differences).toMatchObject([{ kind: "rules_missing", repair: null, repaired: false }]);
  await daemon.stop();
  await daemon.start();
  expect((await mags.nodes.fsck()).differences).toEqual([]);
}, 120_000);
