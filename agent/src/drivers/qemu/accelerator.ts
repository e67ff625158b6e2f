import { stat } from "node:fs/promises";
import { spawn } from "@mags/kit";
import { readBootFiles } from "./files.ts";

/** What executes a machine's instructions. */
export interface Accelerator {
  name: "kvm" | "emulation";
  /** QEMU's -accel */
  option: string;
  /** QEMU's -cpu */
  cpu: string;
  /** group that QEMU's user needs beside its own */
  group?: number;
}

export const emulation: Accelerator = { name: "emulation", option: "tcg,thread=multi,tb-size=96", cpu: "max" };

/** How long our kernel may take to its first program, `ms`; two seconds under emulation. */
const PROBE_MS = 10_000;
const MARK = "machine-is-up";

/** KVM where a machine really boots with it, else emulation, and why. Throws when there is nothing to boot. */
export async function chooseAccelerator(imageDir: string): Promise<{ accelerator: Accelerator; because: string }> {
  const device = await stat("/dev/kvm").catch(() => undefined);
  if (!device) return { accelerator: emulation, because: "the host has no /dev/kvm" };
  // Machines run as users of their own, which may open it as its group or as anybody.
  if ((device.mode & 0o066) === 0)
    return { accelerator: emulation, because: "/dev/kvm is root's alone (chmod 660 /dev/kvm)" };
  const kvm: Accelerator = { name: "kvm", option: "kvm", cpu: "host", group: device.gid };
  const problem = await probe(kvm, imageDir);
  if (problem === undefined) return { accelerator: kvm, because: "a machine boots with it" };
  return { accelerator: emulation, because: `/dev/kvm is there, but ${problem}` };
}

/** Boots our own kernel, because that a device is there says nothing on nested and filtered hosts. */
async function probe({ option, cpu }: Accelerator, imageDir: string): Promise<string | undefined> {
  const { kernel, initramfs } = await readBootFiles(imageDir);
  const quiet = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"];
  const machine = ["-machine", "q35", "-accel", option, "-cpu", cpu, "-m", "256"];
  const boot = ["-kernel", kernel, "-initrd", initramfs, "-append", `console=ttyS0 quiet panic=-1 box.probe=${MARK}`];
  const result = await spawn("qemu-system-x86_64", [...quiet, ...machine, ...boot], {
    reject: false,
    timeout: PROBE_MS,
    stdin: "ignore",
  });
  if (result.stdout.includes(MARK)) return undefined;
  if (result.code === "ENOENT") return "QEMU is not installed (apt-get install qemu-system-x86)";
  return result.timedOut ? "our kernel does not boot with it" : result.stderr.split("\n")[0] || "QEMU ended at once";
}
