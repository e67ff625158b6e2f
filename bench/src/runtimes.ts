import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "@mags/kit";
import { config } from "./config.ts";

/** Something that runs `true` in a container of the base image; answers how long that took, `ms`. */
export interface Contender {
  name: string;
  once(): Promise<number>;
  close(): Promise<void>;
}

/**
 * crun alone on a bundle of the image: new pid, mount, network, ipc and uts namespaces, as `crun spec` makes them; the
 * time is that of the process `crun run`. A shell in a mount namespace hides the v2 tree of hybrid cgroup hosts first and
 * measures inside, so that neither it nor `unshare` counts.
 */
export async function bareCrun(): Promise<Contender> {
  const bundle = await mkdtemp("/run/mags-bench-");
  await run("crun", ["spec", "--bundle", bundle], { cwd: bundle });
  const spec = JSON.parse(await readFile(join(bundle, "config.json"), "utf8"));
  spec.root = { path: config.rootfs, readonly: true };
  spec.process.terminal = false;
  spec.process.args = ["/bin/true"];
  await writeFile(join(bundle, "config.json"), JSON.stringify(spec));
  const script = `[ ! -d /sys/fs/cgroup/unified ] || mount -t tmpfs none /sys/fs/cgroup/unified
begin=$(date +%s%N); crun --root "$1/state" --cgroup-manager=cgroupfs run --bundle "$1" "$2"; echo $(($(date +%s%N) - begin))`;
  let number = 0;
  return {
    name: "crun run",
    once: async () => {
      const id = `bench-${process.pid}-${number++}`;
      const printed = await run("unshare", [
        "--mount",
        "--propagation",
        "slave",
        "sh",
        "-ec",
        script,
        "sh",
        bundle,
        id,
      ]);
      return Number(printed.trim().split("\n").at(-1)) / 1e6;
    },
    close: () => rm(bundle, { recursive: true, force: true }),
  };
}

/** `podman run --rm --rootfs` with an overlay over the image; undefined where podman is missing or does not run. */
export async function podman(): Promise<Contender | string> {
  const script = `[ ! -d /sys/fs/cgroup/unified ] || mount -t tmpfs none /sys/fs/cgroup/unified
begin=$(date +%s%N); "$@"; echo $(($(date +%s%N) - begin))`;
  // Limits that any caller may set: podman's own are above what some hosts let even root have.
  const limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
  const command = [
    "podman",
    "--cgroup-manager=cgroupfs",
    "run",
    "--rm",
    "--network=none",
    ...limits,
    "--rootfs",
    `${config.rootfs}:O`,
    "/bin/true",
  ];
  const once = async () => {
    const printed = await run("unshare", ["--mount", "--propagation", "slave", "sh", "-ec", script, "sh", ...command]);
    return Number(printed.trim().split("\n").at(-1)) / 1e6;
  };
  try {
    await once();
    return { name: "podman run", once, close: async () => undefined };
  } catch (error) {
    return (error as Error).message.split("\n").slice(0, 2).join(" ");
  }
}
