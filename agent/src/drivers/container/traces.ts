import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { run } from "@mags/kit";
import type { Trace } from "@mags/protocol";
import { listCgroups } from "../../sandbox/cgroups.ts";

export interface Places {
  /** directory with one of each sandbox */
  sandboxes: string;
  volumeDir: string;
  cgroupParent: string;
}

const DISK = /^m[0-9a-f]{12}\.ext4$/;

/** Everything on the machine that bears the name of a sandbox of this agent; its name is the id of the sandbox. */
export async function sandboxTraces({ sandboxes, volumeDir, cgroupParent }: Places): Promise<Omit<Trace, "held">[]> {
  const [directories, files, cgroups, mounts, loops] = await Promise.all([
    readdir(sandboxes).catch(() => []),
    readdir(volumeDir).catch(() => []),
    listCgroups(cgroupParent),
    mountsBelow(sandboxes),
    loopsOver(volumeDir),
  ]);
  const named = (kind: Trace["kind"], ids: Iterable<string>) => [...new Set(ids)].map((name) => ({ kind, name }));
  return [
    ...named("directory", directories),
    ...named(
      "disk",
      files.filter((name) => DISK.test(name)).map((name) => name.slice(0, -".ext4".length)),
    ),
    ...named("cgroup", cgroups),
    ...named("mounts", mounts),
    ...named(
      "loop",
      loops.map(({ id }) => id),
    ),
  ];
}

async function mountsBelow(dir: string): Promise<string[]> {
  const lines = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
  return lines.flatMap((line) => {
    const target = line.split(" ")[4] ?? "";
    return target.startsWith(`${dir}/`) ? [target.slice(dir.length + 1).split("/")[0] as string] : [];
  });
}

/** Lets go of the loop devices over the disk `id`; one that is still mounted somewhere goes with its last mount. */
export async function detachLoops(volumeDir: string, id: string): Promise<void> {
  for (const loop of await loopsOver(volumeDir))
    if (loop.id === id) await run("losetup", ["--detach", `/dev/${loop.device}`]);
}

/** Loop devices over disks of sandboxes, also over those whose file has been removed already. */
async function loopsOver(dir: string): Promise<{ id: string; device: string }[]> {
  const devices = (await readdir("/sys/block")).filter((name) => name.startsWith("loop"));
  const loops = await Promise.all(
    devices.map(async (device) => {
      const text = await readFile(join("/sys/block", device, "loop/backing_file"), "utf8").catch(() => "");
      return { device, path: text.trimEnd().replace(/ \(deleted\)$/, "") };
    }),
  );
  return loops
    .filter(({ path }) => path.startsWith(`${dir}/`))
    .map(({ device, path }) => ({ device, id: basename(path, ".ext4") }));
}
