import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "@mags/kit";

type Probe = { works: true } | { works: false; reason: string; remedy: string };

const TIMEOUT_MS = 5000;
/** QEMU's isa-debug-exit answers a write of n to its port with exit code 2n + 1 */
const EXIT_CODE = 33;

/**
 * Boots a guest of a few instructions under KVM: that /dev/kvm is there says nothing on nested and filtered hosts. The boot sector
 * writes 0x10 to QEMU's exit device.
 */
export async function probeKvm(): Promise<Probe> {
  const device = await stat("/dev/kvm").catch(() => undefined);
  if (!device)
    return {
      works: false,
      reason: "no /dev/kvm",
      remedy: "enable virtualisation in the firmware or the cloud's settings",
    };
  // Virtual machines run as users of their own.
  if ((device.mode & 0o066) === 0)
    return { works: false, reason: "/dev/kvm is root's alone", remedy: "chmod 660 /dev/kvm" };
  const dir = await mkdtemp(join(tmpdir(), "mags-kvm-"));
  try {
    const sector = Buffer.alloc(512);
    // mov al, 0x10; mov dx, 0x501; out dx, al; hlt
    Buffer.from([0xb0, 0x10, 0xba, 0x01, 0x05, 0xee, 0xf4]).copy(sector);
    sector.writeUInt16LE(0xaa55, 510);
    const disk = join(dir, "boot");
    await writeFile(disk, sector);
    const args = [
      "-accel",
      "kvm",
      "-display",
      "none",
      "-nodefaults",
      "-no-user-config",
      "-m",
      "16",
      "-device",
      "isa-debug-exit,iobase=0x501",
    ];
    const result = await spawn("qemu-system-x86_64", [...args, "-drive", `file=${disk},format=raw,if=ide`], {
      reject: false,
      timeout: TIMEOUT_MS,
    });
    if (result.exitCode === EXIT_CODE) return { works: true };
    if (result.code === "ENOENT")
      return { works: false, reason: "not tried: QEMU is not installed", remedy: "apt-get install qemu-system-x86" };
    const said = result.timedOut
      ? "the guest did not run"
      : (result.stderr || `exit code ${result.exitCode}`).split("\n")[0];
    return {
      works: false,
      reason: `/dev/kvm is there, but ${said}`,
      remedy: "containers are used instead; VMs would be emulated",
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
