import type { SandboxSize } from "../../sandbox/driver.ts";
import { seccompProfile } from "./seccomp.ts";
import { ID_COUNT } from "./userns.ts";

/** Docker's set without those that mean nothing in a user namespace (MKNOD, NET_RAW, AUDIT_WRITE): enough for apt, pip and su. */
const CAPABILITIES = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_NET_BIND_SERVICE",
  "CAP_SETFCAP",
  "CAP_SETGID",
  "CAP_SETPCAP",
  "CAP_SETUID",
  "CAP_SYS_CHROOT",
];

export const PIDS_LIMIT = 1024;
const CPU_PERIOD_US = 100_000;
/** The kernel has some thousands for everybody together. */
const MAX_TERMINALS = 128;
/** Memory for buffers of sockets, where it is not counted with the rest: one part in so many. */
const SOCKET_SHARE = 4;
const MASKED = "acpi asound interrupts kcore keys latency_stats sched_debug scsi timer_list timer_stats".split(" ");
const READONLY = "bus fs irq sys sysrq-trigger".split(" ");

export interface ContainerSpec {
  id: string;
  rootfs: string;
  idBase: number;
  netnsPath: string;
  cgroupsPath: string;
  size: SandboxSize;
  /** the kernel counts buffers of sockets by a limit of their own (control groups of version 1) */
  socketsApart: boolean;
  annotations: Record<string, string>;
  /** files of the host shown in the container: [host path, path inside] */
  binds: [string, string][];
}

/** The container's `config.json` (OCI runtime specification 1.0). Its first process only waits and reaps. */
export function containerConfig(spec: ContainerSpec) {
  const mapping = [{ containerID: 0, hostID: spec.idBase, size: ID_COUNT }];
  const memory = spec.size.memoryMb * 1024 * 1024;
  return {
    ociVersion: "1.0.2",
    hostname: spec.id,
    annotations: spec.annotations,
    root: { path: spec.rootfs, readonly: false },
    process: processConfig(["/dev/init", "-P"], { PATH: "/usr/bin:/bin" }, "/"),
    mounts: mounts(spec.binds),
    linux: {
      cgroupsPath: spec.cgroupsPath,
      uidMappings: mapping,
      gidMappings: mapping,
      namespaces: [
        ...["pid", "mount", "ipc", "uts", "user", "cgroup"].map((type) => ({ type })),
        { type: "network", path: spec.netnsPath },
      ],
      resources: {
        memory: {
          limit: memory,
          swap: memory,
          ...(spec.socketsApart ? { kernelTCP: Math.round(memory / SOCKET_SHARE) } : {}),
        },
        cpu: { quota: Math.round(spec.size.vcpus * CPU_PERIOD_US), period: CPU_PERIOD_US },
        pids: { limit: PIDS_LIMIT },
        devices: [{ allow: false, access: "rwm" }],
      },
      maskedPaths: [...MASKED.map((name) => `/proc/${name}`), "/sys/firmware"],
      readonlyPaths: READONLY.map((name) => `/proc/${name}`),
      seccomp: seccompProfile(),
    },
  };
}

const ROOT = { uid: 0, gid: 0, groups: [] as number[] };

/** A process in the container, also the argument of `exec --process`. */
export function processConfig(args: string[], env: Record<string, string>, cwd: string, user = ROOT) {
  return {
    terminal: false,
    user: { uid: user.uid, gid: user.gid, additionalGids: user.groups },
    args,
    env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    cwd,
    // Others than root get theirs, if any, by programs that are set-uid.
    capabilities: Object.fromEntries(
      (user.uid === 0 ? ["bounding", "effective", "permitted"] : ["bounding"]).map((set) => [set, CAPABILITIES]),
    ),
    rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }],
    // su and sudo are set-uid programs; inside a user namespace they can become only what the sandbox already is.
    noNewPrivileges: false,
  };
}

function mounts(binds: [string, string][]) {
  return [
    { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
    { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=1m"] },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5", `max=${MAX_TERMINALS}`],
    },
    { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "nodev", "mode=1777", "size=64m"] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
    ...binds.map(([source, destination]) => ({
      destination,
      type: "bind",
      source,
      options: ["bind", "ro", "nosuid", "nodev"],
    })),
  ];
}
