import { access, mkdtemp, readdir, rm, statfs, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { run } from "@mags/kit";
import { apiUrl, dataDir, imageDir, listen } from "../config.ts";
import { type Check, missing, ok, warn } from "./check.ts";
import { probeKvm } from "./kvm.ts";
import { runtime } from "./runtime.ts";

const firstLine = (text: string) => text.split("\n")[0] ?? "";

/** Looks at everything that Mags needs of a host; tries things rather than reading about them. */
export async function runChecks(): Promise<Check[]> {
  return Promise.all([
    node(),
    root(),
    program("crun", ["--version"], "crun", "apt-get install crun"),
    program("runc", ["--version"], "runc (fallback)", "apt-get install runc", true),
    program("nft", ["--version"], "nftables", "apt-get install nftables"),
    program("ip", ["-V"], "iproute2", "apt-get install iproute2"),
    program("mkfs.ext4", ["-V"], "e2fsprogs", "apt-get install e2fsprogs"),
    userNamespaces(),
    container(),
    kvm(),
    runtime(),
    cgroups(),
    reflink(),
    image(),
    disk(),
    port(),
  ]);
}

async function node(): Promise<Check> {
  return ok("Node", process.version);
}

async function root(): Promise<Check> {
  return process.getuid?.() === 0
    ? ok("root", "yes")
    : missing("root", "no", "the node makes namespaces and mounts: run it as root");
}

async function program(file: string, args: string[], name: string, remedy: string, optional = false): Promise<Check> {
  try {
    return ok(name, firstLine(await run(file, args)) || "installed");
  } catch {
    return (optional ? warn : missing)(name, "not installed", remedy);
  }
}

async function userNamespaces(): Promise<Check> {
  try {
    await run("unshare", ["--user", "--map-root-user", "--mount", "true"]);
    return ok("user namespaces", "work");
  } catch (error) {
    return missing("user namespaces", firstLine((error as Error).message), "sysctl -w user.max_user_namespaces=15000");
  }
}

/** Runs a container of the base image without its own network; read-only, so that nothing is left. */
async function container(): Promise<Check> {
  const rootfs = join(imageDir, "base", "rootfs");
  if (!(await exists(rootfs))) return warn("container", "not tried: no base image yet", "npm start builds it");
  if (process.getuid?.() !== 0) return warn("container", "not tried: that needs root", "run mags doctor as root");
  const bundle = await mkdtemp("/run/mags-doctor-");
  try {
    await run("crun", ["spec", "--bundle", bundle], { cwd: bundle });
    const config = JSON.parse(await run("cat", [join(bundle, "config.json")]));
    config.root = { path: rootfs, readonly: true };
    config.process.terminal = false;
    config.process.args = ["/bin/true"];
    await writeFile(join(bundle, "config.json"), JSON.stringify(config));
    // The tmpfs covers the v2 tree of hybrid cgroup hosts, with which crun 1.8 does not start.
    const script = `[ ! -d /sys/fs/cgroup/unified ] || mount -t tmpfs none /sys/fs/cgroup/unified
exec crun --root "$1/state" --cgroup-manager=cgroupfs run --bundle "$1" "$2"`;
    const started = performance.now();
    await run("unshare", [
      "--mount",
      "--propagation",
      "slave",
      "sh",
      "-c",
      script,
      "sh",
      bundle,
      `doctor-${process.pid}`,
    ]);
    return ok("container", `crun runs the base image (${Math.round(performance.now() - started)} ms)`);
  } catch (error) {
    return missing(
      "container",
      firstLine((error as Error).message),
      "see docs/limitations.md for what the kernel must offer",
    );
  } finally {
    await rm(bundle, { recursive: true, force: true });
  }
}

async function kvm(): Promise<Check> {
  const result = await probeKvm();
  if (result.works) return ok("KVM", "a guest ran its first instructions");
  return warn("KVM", result.reason, result.remedy);
}

async function cgroups(): Promise<Check> {
  const entries = await readdir("/sys/fs/cgroup").catch(() => [] as string[]);
  if (entries.includes("cgroup.controllers")) return ok("cgroups", "v2");
  const needed = ["cpu", "memory", "pids"].filter((name) => !entries.includes(name));
  if (needed.length > 0)
    return missing("cgroups", `no ${needed.join(", ")} controller`, "boot with cgroup v2, or mount these controllers");
  return ok("cgroups", entries.includes("unified") ? "v1 with an empty v2 tree (hybrid)" : "v1");
}

async function reflink(): Promise<Check> {
  const place = await nearest(dataDir);
  const dir = await mkdtemp(join(place, "mags-doctor-")).catch(() => undefined);
  if (!dir) return warn("reflinks", `not tried: ${place} cannot be written to`, "run mags doctor as root");
  try {
    await writeFile(join(dir, "a"), "x".repeat(8192));
    await run("cp", ["--reflink=always", join(dir, "a"), join(dir, "b")]);
    return ok("reflinks", `${dataDir} shares extents between copies`);
  } catch {
    return program("mkfs.xfs", ["-V"], "reflinks", "apt-get install xfsprogs").then((check) =>
      check.state === "ok" ? ok("reflinks", `not in ${dataDir}, so volumes lie in an XFS file there`) : check,
    );
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** The directory itself, or what is there of the way to it. */
async function nearest(dir: string): Promise<string> {
  return (await exists(dir)) ? dir : nearest(dirname(dir));
}

async function image(): Promise<Check> {
  const path = join(imageDir, "base", "image.json");
  return (await exists(path)) ? ok("base image", imageDir) : warn("base image", "not built", "npm start builds it");
}

async function disk(): Promise<Check> {
  const { bavail, bsize } = await statfs(dataDir).catch(() => statfs("/"));
  const free = Math.floor((bavail * bsize) / 1024 ** 3);
  return free >= 10
    ? ok("disk", `${free} GiB free`)
    : warn("disk", `${free} GiB free`, "sandboxes of 2 GiB each need more room");
}

async function port(): Promise<Check> {
  const healthy = await fetch(`${apiUrl}/healthz`).then(
    (response) => response.ok,
    () => false,
  );
  if (healthy) return ok("API", `${apiUrl} answers`);
  const colon = listen.lastIndexOf(":");
  const taken = await new Promise<boolean>((resolve) => {
    const socket = connect({ host: listen.slice(0, colon), port: Number(listen.slice(colon + 1)) });
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
  if (taken) return warn("API", `${listen} is taken by another program`, "set MAGS_LISTEN to a free port");
  return ok("API", `${listen} is free; no server runs there yet`);
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
