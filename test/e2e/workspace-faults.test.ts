/** Workspaces when things are lost, damaged, full or away; on a real S3 server. */
import { mkdir, mkdtemp, readdir, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createLogger, mount, run as runCommand, unmount } from "@mags/kit";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "@mags/server";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Radosgw, startRadosgw } from "../../storage/src/objects/testing/radosgw.ts";
import { Daemon } from "../harness/daemon.ts";
import { finished, run, start, until } from "../harness/workspaces.ts";

let dir: string;
let postgres: EmbeddedPostgres;
let s3: Radosgw;
let daemon: Daemon;
let nodes = 0;

beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-faults-");
  s3 = await startRadosgw();
  await s3.bucket("mags");
  postgres = await startEmbeddedPostgres({ dir, logger: createLogger("silent") });
  daemon = await newNode();
});
afterAll(async () => {
  await daemon.remove();
  await postgres.close();
  await s3.stop();
  await rm(dir, { recursive: true, force: true });
});

function newNode(env: Record<string, string> = {}): Promise<Daemon> {
  nodes++;
  return Daemon.start({
    DATABASE_URL: postgres.url,
    MAGS_STORE: "s3://mags/prefix",
    MAGS_S3_ENDPOINT: s3.endpoint,
    MAGS_S3_ACCESS_KEY_ID: s3.accessKey,
    MAGS_S3_SECRET_ACCESS_KEY: s3.secretKey,
    MAGS_NODE_NAME: `node-${nodes}`,
    MAGS_POOL_MIN: "0",
    ...env,
  });
}

const job = (workspace_id: string, script: string, more: object = {}) => ({ workspace_id, script, ...more });

test("a lost node: with the same database and bucket every workspace is back at what was acknowledged last", async () => {
  const names = ["red", "green", "blue"];
  for (const name of names) await run(daemon, job(name, `seq 100000 >/root/numbers; echo ${name} >/root/name`));
  const machine = await start(daemon, job("live", "echo kept >/root/file", { persistent: true }));
  await until(daemon, machine, ({ exit_code }) => exit_code === 0);
  const synced = await daemon.http("POST", `/api/v1/mags-jobs/${machine}/sync`);
  expect(synced.status).toBe(200);
  await daemon.kill();
  const lost = daemon;
  daemon = await newNode();
  await lost.removeAsLost();
  const look = "cat /root/name; sha1sum </root/numbers; seq 100000 | sha1sum";
  for (const name of names) {
    const { stdout, system } = await run(daemon, job(name, look));
    expect(stdout[0]).toBe(name);
    expect(stdout[1]).toBe(stdout[2]);
    expect(system.join("\n")).toContain(`workspace ${name}: fetching version 1`);
  }
  expect(await finished(daemon, machine)).toMatchObject({ status: "error", reason: "node_lost" });
  expect((await run(daemon, job("live", "cat /root/file"))).stdout).toEqual(["kept"]);
}, 180_000);

test("while the object store is away a job ends, says what is not durable, and the node makes it so later", async () => {
  await run(daemon, job("away", "echo 1 >/root/file"));
  const writing = await start(daemon, job("away", "sleep 1; echo 2 >/root/file; exit 4"));
  await until(daemon, writing, ({ status }) => status === "running");
  await s3.kill();
  const ran = await finished(daemon, writing, 120);
  expect(ran).toMatchObject({ status: "completed", exit_code: 4 });
  expect(ran.error).toMatch(/workspace away: what was written since .* is not durable/);
  expect(ran.system.join("\n")).toContain("is not durable");
  await s3.restart();
  const next = await run(daemon, job("away", "cat /root/file"));
  expect(next).toMatchObject({ status: "completed", stdout: ["2"], error: null });
  await daemon.kill();
  const lost = daemon;
  daemon = await newNode();
  await lost.removeAsLost();
  expect((await run(daemon, job("away", "cat /root/file"))).stdout).toEqual(["2"]);
}, 300_000);

test("a server killed while the object store is away makes the rest durable when both are back", async () => {
  const machine = await start(daemon, job("both", "echo 1 >/root/file", { persistent: true }));
  await until(daemon, machine, ({ exit_code }) => exit_code === 0);
  await s3.kill();
  await daemon.http("POST", `/api/v1/mags-jobs/${machine}/stop`);
  await daemon.kill();
  await s3.restart();
  await daemon.start();
  expect(await finished(daemon, machine)).toMatchObject({ status: "stopped", error: null });
  expect((await run(daemon, { base_workspace_id: "both", script: "cat /root/file" })).stdout).toEqual(["1"]);
}, 180_000);

test("a job whose server is killed while its end waits for the object store is over when all is durable, and not before", async () => {
  const writing = await start(daemon, job("waits", "sleep 1; echo 1 >/root/file"));
  await until(daemon, writing, ({ status }) => status === "running");
  await s3.kill();
  await until(daemon, writing, ({ exit_code }) => exit_code === 0);
  // By now its machine has ended, and the sync has been tried.
  await delay(1500);
  await daemon.kill();
  await daemon.start();
  await delay(3000);
  const waiting = await daemon.http("GET", `/api/v1/mags-jobs/${writing}/status`);
  expect(waiting.body).toMatchObject({ status: "running", exit_code: 0 });
  await s3.restart();
  expect(await finished(daemon, writing)).toMatchObject({ status: "completed", exit_code: 0, error: null });
  expect((await run(daemon, { base_workspace_id: "waits", script: "cat /root/file" })).stdout).toEqual(["1"]);
  const { body } = await daemon.http("GET", "/api/v1/mags-workspaces/waits/versions");
  expect(body.versions).toMatchObject([{ version: 1, request_id: writing }]);
}, 180_000);

test("a damaged chunk ends the job with the object's name; where the node has a copy that one is used", async () => {
  const objects = join(dir, "objects");
  const other = await newNode({ MAGS_STORE: objects, DATABASE_URL: "" });
  try {
    await run(other, job("hurt", "seq 300000 >/root/numbers"));
    const entries = await readdir(objects, { recursive: true, withFileTypes: true });
    const [first] = entries.filter((entry) => entry.isFile() && entry.parentPath.includes("/chunks/"));
    if (!first) throw new Error("there are no chunks");
    await writeFile(join(first.parentPath, first.name), "damaged");
    expect(await run(other, { base_workspace_id: "hurt", script: "tail -1 /root/numbers" })).toMatchObject({
      stdout: ["300000"],
    });
    await other.stop();
    await rm(join(other.dataDir, "agent/store"), { recursive: true, force: true });
    await other.start();
    const broken = await run(other, { base_workspace_id: "hurt", script: "true" });
    expect(broken).toMatchObject({ status: "error", reason: "start_failed" });
    expect(broken.error).toContain(`chunks/${first.name.slice(0, 2)}`);
    expect(broken.error).toContain("damaged");
  } finally {
    await other.remove();
  }
}, 120_000);

test("a workspace whose file system the kernel has given up is durable as the disk has it, its job says so, and the next goes on", async () => {
  const script = "echo before >/root/before; sync; echo ready; sleep 4; echo after >/root/after; exit 0";
  const id = await start(daemon, job("given-up", script));
  await until(daemon, id, ({ status }) => status === "running");
  const loops = () => runCommand("losetup", ["-n", "-O", "NAME,BACK-FILE"]);
  const ours = (line: string) => line.includes(daemon.dataDir) && line.includes("live.ext4");
  const [device] = (await loops()).split("\n").filter(ours);
  await delay(2000);
  // As after an error that the kernel itself has met (fs/ext4/sysfs.c).
  await writeFile(`/sys/fs/ext4/${device?.trim().split(" ")[0]?.split("/").at(-1)}/trigger_fs_error`, "a test");
  const ended = await finished(daemon, id);
  expect(ended).toMatchObject({ status: "completed", exit_code: 0 });
  expect(ended.error).toMatch(/^some of what was written in workspace given-up may be missing: syncfs .*EROFS/);
  const next = await run(daemon, job("given-up", "cat /root/before; echo on >/root/on"));
  expect(next).toMatchObject({ status: "completed", error: null, stdout: ["before"] });
  const last = await run(daemon, job("given-up", "cat /root/on"));
  expect(last).toMatchObject({ status: "completed", error: null, stdout: ["on"] });
}, 120_000);

test("a node whose disk is almost full refuses new machines, says why, and takes work again when there is room", async () => {
  const small = join(dir, "small");
  await mkdir(small);
  mount("tmpfs", "test", small, "size=1400m");
  let crowded: Daemon | undefined;
  try {
    crowded = await Daemon.start({ MAGS_POOL_MIN: "0" }, small);
    const kept = job("kept", "cat /root/file; date >>/root/file");
    expect(await run(crowded, kept)).toMatchObject({ status: "completed" });
    const { bavail, bsize } = await statfs(small);
    const filler = join(small, "filler");
    await runCommand("fallocate", ["-l", String(bavail * bsize - 200 * 1024 ** 2), filler]);
    for (const refused of [kept, { script: "true" }]) {
      const ran = await run(crowded, refused);
      expect(ran).toMatchObject({ status: "error", reason: "disk_full" });
      expect(ran.error).toContain("the node's disk is almost full");
    }
    await rm(filler);
    const again = await run(crowded, kept);
    expect(again).toMatchObject({ status: "completed", error: null });
    expect(again.stdout).toHaveLength(1);
  } finally {
    await crowded?.remove();
    unmount(small);
  }
}, 180_000);
