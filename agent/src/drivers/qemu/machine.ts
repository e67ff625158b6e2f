import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startProcess } from "@mags/kit";
import type { SandboxSize } from "../../sandbox/driver.ts";
import type { Accelerator } from "./accelerator.ts";
import type { BootFiles } from "./files.ts";
import { Qmp } from "./qmp.ts";
import { loadState } from "./state.ts";

/** What a machine's kernel and its SSH server need beside what the sandbox in it may use, `MiB`. */
const GUEST_OVERHEAD_MB = 96;
/** The same for QEMU itself, with its translated code under emulation, `MiB`. */
const QEMU_OVERHEAD_MB = 384;
const MiB = 1024 * 1024;
export const PIDS_LIMIT = 1024;
const QMP_MS = 10_000;

/** How a machine is started. */
export interface MachineSpec {
  /** directory of the host's side, owned by root */
  dir: string;
  boot: BootFiles;
  /** the image as an erofs file */
  rootDisk: string;
  size: Pick<SandboxSize, "vcpus" | "memoryMb">;
  accelerator: Accelerator;
  /** `ssh-ed25519 AAAA…` that is let in at first */
  publicKey: string;
  mac: string;
  /** memory of a saved machine, to begin with a private copy of it */
  memoryFrom?: string;
  /** file that holds all of the memory, so that it can be saved */
  memoryTo?: string;
  /** saved state to go on from */
  incoming?: Incoming;
}

export interface Incoming {
  file: string;
  memory: "within" | "apart";
  /** plugs in what was not there when it was started */
  plug?(qmp: Qmp): Promise<void>;
}

/** Limits of the host's cgroup of a machine. */
export const hostLimits = ({ vcpus, memoryMb }: MachineSpec["size"]) => ({
  memory: (memoryMb + GUEST_OVERHEAD_MB + QEMU_OVERHEAD_MB) * MiB,
  // QEMU's own threads must not wait behind those of the guest's CPUs.
  cpus: vcpus + 0.5,
  processes: 256,
});

/** All memory of a machine, `bytes` */
export const memoryBytes = ({ memoryMb }: Pick<SandboxSize, "memoryMb">): number =>
  (memoryMb + GUEST_OVERHEAD_MB) * MiB;

export const qmpPath = (dir: string) => join(dir, "vm", "qmp.sock");

/** The descriptor of a machine's process behind its standard streams. */
const TAP_FD = 3;

export function qemuArgs(spec: MachineSpec): string[] {
  const { boot, size, accelerator } = spec;
  const memory = `${size.memoryMb + GUEST_OVERHEAD_MB}M`;
  const backing = spec.memoryFrom ?? spec.memoryTo;
  const memoryObject =
    backing === undefined
      ? `memory-backend-ram,id=ram,size=${memory}`
      : `memory-backend-file,id=ram,size=${memory},mem-path=${backing},share=${spec.memoryTo ? "on" : "off"}`;
  const device = (...parts: string[]) => ["-device", parts.join(",")];
  return [
    ...["-name", "sandbox", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    // With a code of its own, so that a panic is told from a machine that is switched off.
    ...["-action", "panic=exit-failure"],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...["-machine", "q35,usb=off,smbus=off,sata=off,vmport=off,memory-backend=ram"],
    ...["-accel", accelerator.option, "-cpu", accelerator.cpu],
    ...["-smp", String(Math.max(1, Math.ceil(size.vcpus))), "-m", memory, "-object", memoryObject],
    ...["-kernel", boot.kernel, "-initrd", boot.initramfs],
    ...["-append", `console=ttyS0 quiet panic=-1 box.key=${spec.publicKey.split(" ")[1]}`],
    ...["-rtc", "base=utc", "-chardev", "ringbuf,id=console,size=65536", "-serial", "chardev:console"],
    ...["-chardev", `socket,id=qmp,path=${qmpPath(spec.dir)},server=on,wait=off`, "-mon", "chardev=qmp,mode=control"],
    ...[
      "-blockdev",
      `driver=raw,node-name=root,read-only=on,file.driver=file,file.filename=${spec.rootDisk},file.locking=off`,
    ],
    ...device("virtio-blk-pci", "drive=root"),
    ...device("virtio-scsi-pci", "id=scsi0"),
    ...["-netdev", `tap,id=net,fd=${TAP_FD}`],
    ...device("virtio-net-pci", "netdev=net", `mac=${spec.mac}`, "romfile="),
    ...device("pvpanic-pci"),
    ...(spec.incoming === undefined ? [] : ["-incoming", "defer"]),
  ];
}

/** Kept of what QEMU says, `bytes` */
const LOG_BYTES = 65_536;

/**
 * The shell above QEMU, with it in the machine's network namespace: it enters the cgroups, runs it, and when it ends notes how and ends what else lives for this
 * machine. Nothing of ours owns it, so a machine outlives the agent. Of what QEMU says the first is kept: a machine may find out how to make it complain.
 */
const SUPERVISOR = `dir=$1 groups=$2; shift 2
for file in $groups; do echo $$ >"$file"; done
{ "$@"; echo $? >"$dir/code"; } 2>&1 | head -c ${LOG_BYTES} >"$dir/qemu.log" 3>&-
mv "$dir/code" "$dir/ended"; exec 3>&-
for pid in $(cat "\${groups%% *}"); do [ "$pid" = $$ ] || kill -9 "$pid" 2>/dev/null; done`;

/** Starts QEMU as the user `uid` in the network namespace `netns`; answers the supervisor's pid. */
export function startMachine(spec: MachineSpec, uid: number, netns: string, groups: string[], tap: number): number {
  const user = [`--reuid=${uid}`, `--regid=${uid}`, "--no-new-privs", "--bounding-set=-all"];
  const more = spec.accelerator.group === undefined ? ["--clear-groups"] : [`--groups=${spec.accelerator.group}`];
  const command = ["setpriv", ...user, ...more, "qemu-system-x86_64", ...qemuArgs(spec)];
  const shell = ["/bin/sh", "-c", SUPERVISOR, "machine", spec.dir, groups.join(" "), ...command];
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
  return startProcess("nsenter", [`--net=${netns}`, ...shell], { stdio: [null, null, null, tap], detached: true, env })
    .pid;
}

/** Connects to the monitor of a machine that has just been started, and lets it go on from its saved state where it has one. */
export async function openMonitor(spec: MachineSpec, isUp: () => boolean): Promise<Qmp> {
  const qmp = new Qmp(qmpPath(spec.dir));
  try {
    await answers(qmp, isUp);
    if (spec.incoming) {
      await spec.incoming.plug?.(qmp);
      await loadState(qmp, spec.incoming.file, join(spec.dir, "vm", "state.sock"), spec.incoming.memory);
    }
    return qmp;
  } catch (cause) {
    if (isUp()) throw cause;
    throw new Error(`QEMU has ended: ${lastWords(spec.dir) || "it gave no reason"}`, { cause });
  }
}

async function answers(qmp: Qmp, isUp: () => boolean): Promise<void> {
  const deadline = performance.now() + QMP_MS;
  for (;;) {
    try {
      await qmp.execute("query-status");
      return;
    } catch (error) {
      if (!isUp() || performance.now() > deadline) throw error;
      await delay(5);
    }
  }
}

/** What QEMU said at last. */
export const lastWords = (dir: string): string => {
  try {
    return readFileSync(join(dir, "qemu.log"), "utf8").trim().slice(-500);
  } catch {
    return "";
  }
};
