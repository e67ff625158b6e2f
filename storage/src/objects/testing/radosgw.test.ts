import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { run, spawn } from "@mags/kit";
import { expect, test } from "vitest";

test("a process that is killed takes its S3 server with it, and leaves no file", async () => {
  const files = async () => [
    await readdir("/var/lib/ceph"),
    (await readdir("/tmp")).filter((name) => /ceph|rados/.test(name)),
  ];
  const before = await files();
  const module = JSON.stringify(new URL("./radosgw.ts", import.meta.url).href);
  const script = `const { startRadosgw } = await import(${module});
    const server = await startRadosgw();
    console.log(JSON.stringify(server.pids()));
    setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ["--input-type=module", "-e", script], { reject: false });
  const first = await Promise.race([
    new Promise((resolve) => owner.stdout.once("data", resolve)),
    owner.then(() => ""),
  ]);
  const pids: number[] = JSON.parse(String(first));
  expect(pids).toHaveLength(4);
  for (const pid of pids) expect(existsSync(`/proc/${pid}`)).toBe(true);
  owner.kill("SIGKILL");
  await owner;
  await expect.poll(() => pids.filter((pid) => existsSync(`/proc/${pid}`)), { timeout: 5_000 }).toEqual([]);
  expect(await files()).toEqual(before);
  expect(await run("grep", ["-c", "mags-radosgw", "/proc/mounts"]).catch(() => "0")).toBe("0");
});
