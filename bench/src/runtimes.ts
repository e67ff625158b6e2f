import { globSync, readdirSync, readFileSync } from "node:fs";
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
 * crun alone on the least bundle there is: new pid, mount, network, ipc and uts namespaces, as `crun spec` makes them,
 * and neither user namespace nor system call filter nor limits.
 */
export async function crunPlain(): Promise<Contender> {
  const dir = await mkdtemp("/run/mags-bench-");
  await run("crun", ["spec", "--bundle", dir], { cwd: dir });
  const spec = JSON.parse(await readFile(join(dir, "config.json"), "utf8"));
  spec.root = { path: config.rootfs, readonly: true };
  return crun("crun, plain bundle", dir, spec, OWN_MOUNTS);
}

/**
 * crun alone on the bundle of a running machine of Mags': the same root, namespaces, filter, limits and network. The root's
 * mounts are to be seen in the agent's mount namespace only, so it is run there.
 */
export async function crunOnBundleOf(machine: string): Promise<Contender> {
  const [bundle = ""] = globSync(`/run/mags/*/sandboxes/${machine}`);
  const dir = await mkdtemp("/run/mags-bench-");
  const spec = JSON.parse(await readFile(join(bundle, "config.json"), "utf8"));
  const pid = (await readFile(join(bundle, "pid"), "utf8")).trim();
  // A machine that runs has taken its network's name along; it is found by the process.
  for (const namespace of spec.linux.namespaces)
    if (namespace.type === "network") namespace.path = `/proc/${pid}/ns/net`;
  spec.linux.cgroupsPath += "-bench";
  // Every bare run compiles the filter, as every machine would whose agent did not keep the compiled one.
  delete spec.annotations;
  return crun("crun, same bundle", dir, spec, ["nsenter", "--mount", "--target", agentOf(bundle)]);
}

/** `crun exec` alone in a running machine of Mags'. */
export function crunExecIn(machine: string): Contender {
  const [bundle = ""] = globSync(`/run/mags/*/sandboxes/${machine}`);
  const command = [
    "crun",
    "--root",
    join(bundle, "../../oci"),
    "--cgroup-manager=cgroupfs",
    "exec",
    machine,
    "/bin/true",
  ];
  return { name: "crun exec", once: () => timedIn(OWN_MOUNTS, command), close: async () => undefined };
}

/** A mount namespace in which the v2 tree of hybrid cgroup hosts, with which neither crun 1.8 nor podman starts, is hidden. */
const OWN_MOUNTS = ["unshare", "--mount", "--propagation", "slave"];
const HIDE_HYBRID = "[ ! -d /sys/fs/cgroup/unified ] || mount -t tmpfs none /sys/fs/cgroup/unified";

/** `where` is the command that enters a mount namespace; the time is taken inside, so that it does not count. */
async function crun(name: string, dir: string, spec: Spec, where: string[]): Promise<Contender> {
  spec.process = { ...spec.process, terminal: false, args: ["/bin/true"] };
  await writeFile(join(dir, "config.json"), JSON.stringify(spec));
  const base = ["crun", "--root", join(dir, "state"), "--cgroup-manager=cgroupfs", "run", "--bundle", dir];
  let number = 0;
  return {
    name,
    once: () => timedIn(where, [...base, `bench-${process.pid}-${number++}`]),
    close: () => rm(dir, { recursive: true, force: true }),
  };
}

interface Spec {
  process: object;
}

async function timedIn(where: string[], command: string[]): Promise<number> {
  const hide = where === OWN_MOUNTS ? HIDE_HYBRID : ":";
  const script = `${hide}; begin=$(date +%s%N); "$@"; echo $(($(date +%s%N) - begin))`;
  const [program = "", ...args] = [...where, "sh", "-ec", script, "sh", ...command];
  return Number((await run(program, args)).trim().split("\n").at(-1)) / 1e6;
}

/** Pid of the daemon that has mounted the root of a bundle. */
function agentOf(bundle: string): string {
  const mounted = (pid: string) =>
    /\bmagsd\b/.test(read(`/proc/${pid}/cmdline`)) && read(`/proc/${pid}/mountinfo`).includes(` ${bundle}/rootfs `);
  const pid = readdirSync("/proc").find((name) => /^\d+$/.test(name) && mounted(name));
  if (!pid)
    throw new Error(`no magsd on this machine has mounted ${bundle}/rootfs: run the bench where the server runs`);
  return pid;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** `podman run --rm --rootfs` with an overlay over the image; undefined where podman is missing or does not run. */
export async function podman(): Promise<Contender | string> {
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
  const once = () => timedIn(OWN_MOUNTS, command);
  try {
    await once();
    return { name: "podman run", once, close: async () => undefined };
  } catch (error) {
    return (error as Error).message.split("\n").slice(0, 2).join(" ");
  }
}
