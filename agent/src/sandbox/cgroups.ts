import { mkdir, readdir, readFile, readlink, rm, rmdir, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { mount, run } from "@mags/kit";

const ROOT = "/sys/fs/cgroup";
const HYBRID_TREE = join(ROOT, "unified");
/** linux/magic.h */
const CGROUP2_SUPER_MAGIC = 0x63677270;

/**
 * The layout of the host's control groups: `v2` is the unified tree; `v1` has a tree per controller; `hybrid` is v1
 * with a v2 tree beside it at `unified` that has no controllers.
 */
export type CgroupLayout = "v1" | "v2" | "hybrid";

export async function cgroupLayout(): Promise<CgroupLayout> {
  const entries = await readdir(ROOT);
  if (entries.includes("cgroup.controllers")) return "v2";
  return entries.includes("unified") ? "hybrid" : "v1";
}

/** The trees that a cgroup path appears in: one on v2, one per controller on v1. */
async function trees(): Promise<string[]> {
  if ((await cgroupLayout()) === "v2") return [ROOT];
  const names = (await readdir(ROOT)).filter((name) => name !== "unified");
  const hybrid = (await isCgroup2(HYBRID_TREE)) ? [HYBRID_TREE] : [];
  return [...names.map((controller) => join(ROOT, controller)), ...hybrid];
}

async function isCgroup2(path: string): Promise<boolean> {
  const stat = await statfs(path).catch(() => undefined);
  return stat?.type === CGROUP2_SUPER_MAGIC;
}

/** Most that the processes of a cgroup may use together. */
export interface CgroupLimits {
  /** `bytes`, without swap */
  memory: number;
  /** `cores` */
  cpus: number;
  processes: number;
}

const CPU_PERIOD_US = 100_000;

/** Makes the cgroup `path` (its parent by `prepareParent`); answers the files by which a process enters it. */
export async function makeCgroup(path: string, { memory, cpus, processes }: CgroupLimits): Promise<string[]> {
  const quota = Math.round(cpus * CPU_PERIOD_US);
  const v2 = (await cgroupLayout()) === "v2";
  const settings: Record<string, [string, string | number][]> = v2
    ? {
        "": [
          ["memory.max", memory],
          ["memory.swap.max", 0],
          ["cpu.max", `${quota} ${CPU_PERIOD_US}`],
          ["pids.max", processes],
        ],
      }
    : {
        memory: [
          ["memory.limit_in_bytes", memory],
          ["memory.memsw.limit_in_bytes", memory],
        ],
        cpu: [
          ["cpu.cfs_period_us", CPU_PERIOD_US],
          ["cpu.cfs_quota_us", quota],
        ],
        cpuacct: [],
        pids: [["pids.max", processes]],
      };
  const dirs = Object.entries(settings).map(([tree, values]) => ({ dir: join(ROOT, tree, path), values }));
  for (const { dir, values } of dirs) {
    await mkdir(dir, { recursive: true });
    for (const [file, value] of values) {
      // Kernels without accounting of swap have no file for it.
      const optional = /sw/.test(file);
      await writeFile(join(dir, file), String(value)).catch((error) => {
        if (!optional) throw error;
      });
    }
  }
  return dirs.map(({ dir }) => join(dir, "cgroup.procs"));
}

/** Processes killed for want of memory in the cgroup `path`; 0 when the kernel does not say. */
export async function oomKills(path: string): Promise<number> {
  const files = [join(ROOT, path, "memory.events"), join(ROOT, "memory", path, "memory.oom_control")];
  for (const file of files) {
    const text = await readFile(file, "utf8").catch(() => "");
    const count = /^oom_kill (\d+)$/m.exec(text)?.[1];
    if (count) return Number(count);
  }
  return 0;
}

/** CPU time since the cgroup was made, and memory in use now. */
export async function usage(path: string): Promise<{ cpu_ns: number; memory_bytes: number }> {
  const number = async (...names: [string, RegExp][]) => {
    for (const [name, pattern] of names) {
      const [, found] = pattern.exec(await readFile(join(ROOT, name), "utf8").catch(() => "")) ?? [];
      if (found) return Number(found);
    }
    return 0;
  };
  const [ns, us, bytes] = await Promise.all([
    number([`cpuacct${path}/cpuacct.usage`, /^(\d+)$/m]),
    number([`${path}/cpu.stat`, /^usage_usec (\d+)$/m]),
    number([`${path}/memory.current`, /^(\d+)$/m], [`memory${path}/memory.usage_in_bytes`, /^(\d+)$/m]),
  ]);
  return { cpu_ns: ns || us * 1000, memory_bytes: bytes };
}

/** Ids, on the host, of the processes in the cgroup `path`. */
export async function membersOf(path: string): Promise<number[]> {
  for (const tree of await trees()) {
    const text = await readFile(join(tree, path, "cgroup.procs"), "utf8").catch(() => "");
    if (text !== "") return text.trim().split("\n").map(Number);
  }
  return [];
}

/** Names of the cgroups right below `parent`, in any tree. */
export async function listCgroups(parent: string): Promise<Set<string>> {
  const names = new Set<string>();
  for (const tree of await trees()) {
    const entries = await readdir(join(tree, parent), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) if (entry.isDirectory()) names.add(entry.name);
  }
  return names;
}

/** Kills what is in the cgroup `path`, and does not wait until it has gone. */
export async function killCgroup(path: string): Promise<void> {
  for (const tree of await trees()) await killMembers(join(tree, path));
}

/** Kills what is in the cgroup `path` and removes it from every tree. */
export async function removeCgroup(path: string): Promise<void> {
  if (!(await isCgroup2(HYBRID_TREE))) await rm(join(HYBRID_TREE, path), { recursive: true, force: true });
  for (const tree of await trees()) {
    const dir = join(tree, path);
    for (let round = 0; round < 50; round++) {
      if (await tryRemove(dir)) break;
      await killMembers(dir);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

async function tryRemove(dir: string): Promise<boolean> {
  try {
    await rmdir(dir);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
}

async function killMembers(dir: string): Promise<void> {
  const pids = await readFile(join(dir, "cgroup.procs"), "utf8").catch(() => "");
  for (const pid of pids.split("\n").filter(Boolean)) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // gone between the look and the signal
    }
  }
}

/**
 * Covers the empty v2 tree of a hybrid host with a small tmpfs, because crun 1.8 refuses to start where it sees such a
 * tree. Covers and does not unmount: crun makes plain directories in what it finds there, and they must not land in the
 * host's own file system. Only in a mount namespace of our own.
 */
export async function hideHybridTree(): Promise<void> {
  if (!(await isCgroup2(HYBRID_TREE))) return;
  // Some hosts do not let root look at their first process; then the caller's word has to do.
  const [own, host] = await Promise.all(["self", "1"].map((pid) => readlink(`/proc/${pid}/ns/mnt`).catch(() => pid)));
  if (own === host) throw new Error("the agent needs a mount namespace of its own: start it through `unshare --mount`");
  mount("tmpfs", "mags", HYBRID_TREE, "size=16m,mode=755");
}

/**
 * Makes the kernel quick at moving processes between control groups, as every start and entry of a container does. By
 * default the first move after a rest waits for all CPUs: 14 ms of the 21 ms that `crun exec` takes then. The option is
 * the v2 tree's, works on all trees of the machine until it is booted, and makes forks dearer by less than we can measure.
 * False where the kernel does not have it (before 6.0, or without a v2 tree).
 */
export async function favourMoves(): Promise<boolean> {
  for (const tree of [ROOT, HYBRID_TREE]) {
    if (!(await isCgroup2(tree))) continue;
    // mount(8) and not mount(2): it keeps the tree's other options.
    return run("mount", ["-o", "remount,favordynmods", tree]).then(
      () => true,
      () => false,
    );
  }
  return false;
}

/** Makes v2's controllers available below `parent`, which v1 does by itself. */
export async function prepareParent(parent: string): Promise<void> {
  if ((await cgroupLayout()) !== "v2") return;
  await run("mkdir", ["-p", join(ROOT, parent)]);
  for (const dir of [ROOT, join(ROOT, parent)]) {
    await writeFile(join(dir, "cgroup.subtree_control"), "+cpu +memory +pids").catch(() => undefined);
  }
}
