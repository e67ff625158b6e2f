import { randomBytes } from "node:crypto";
import { chownSync, closeSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Cleanup } from "@mags/kit";
import type { Network, NetworkSlot } from "../../network/index.ts";
import { makeCgroup, removeCgroup } from "../../sandbox/cgroups.ts";
import type { Image, SandboxSize } from "../../sandbox/driver.ts";
import { statFields } from "../../sandbox/processes.ts";
import type { Accelerator } from "./accelerator.ts";
import type { BootFiles } from "./files.ts";
import { Guest } from "./guest.ts";
import { identify, makeKey, makeMac } from "./identity.ts";
import { hostLimits, type MachineSpec, openMonitor, startMachine } from "./machine.ts";
import type { Qmp } from "./qmp.ts";
import { isAlive, netnsOf } from "./sandbox.ts";
import { startMaster, writeMasterFiles } from "./ssh.ts";
import { FIRST_ADDRESS, plugTap } from "./tap.ts";

/** First user id of machines; with a network's number it is nobody else's on this host. */
const FIRST_UID = 0x3000_0000;
const BOOT_MS = 90_000;
const AFTER_IDENTITY_MS = 30_000;

export interface BlankContext {
  boot: BootFiles;
  accelerator: Accelerator;
  network: Network;
  /** the image as a file that QEMU's user may read */
  rootDisk(image: Image): Promise<string>;
  dirOf(id: string): string;
  cgroupOf(id: string): string;
}

/** A machine that is up and its own, with no disk yet. */
export interface Blank {
  id: string;
  dir: string;
  uid: number;
  slot: NetworkSlot;
  cgroupsPath: string;
  qmp: Qmp;
  guest: Guest;
  hostKey: string;
  privateKey: string;
  pid: number;
  startTime: string;
}

/** Boots a machine and makes it one of its own. Throws when it does not come up; what was made is on `cleanup`. */
export async function makeBlank(
  context: BlankContext,
  image: Image,
  size: SandboxSize,
  cleanup: Cleanup,
): Promise<Blank> {
  const id = `m${randomBytes(6).toString("hex")}`;
  const { dir, cgroupsPath, uid, slot } = await makePlace(context, id, cleanup);
  const groups = await makeCgroup(cgroupsPath, hostLimits(size));
  const firstKey = makeKey();
  const mac = makeMac();
  const spec: MachineSpec = {
    dir,
    boot: context.boot,
    rootDisk: await context.rootDisk(image),
    size,
    accelerator: context.accelerator,
    publicKey: firstKey.publicKey,
    mac,
  };
  const tap = await plugTap(slot);
  let pid: number;
  try {
    pid = startMachine(spec, uid, slot.netnsPath, groups, tap);
  } finally {
    closeSync(tap);
  }
  const process = { pid, startTime: statFields(pid).startTime };
  const isUp = () => isAlive(process);
  const netns = netnsOf(process);
  const qmp = await openMonitor(spec, isUp);
  await slot.handOver();
  const within = (ms: number) => performance.now() + ms;
  const first = { netns, address: FIRST_ADDRESS, privateKey: firstKey.privateKey, hostKey: undefined };
  const stranger = await Guest.connect(first, isUp, within(BOOT_MS));
  const { privateKey, publicKey } = makeKey();
  const { address, gateway } = slot;
  const hostKey = await identify(stranger, { name: id, address, gateway, mac, publicKey }).finally(() =>
    stranger.close(),
  );
  const guest = await Guest.connect({ netns, address, privateKey, hostKey }, isUp, within(AFTER_IDENTITY_MS));
  cleanup.add("connection", () => guest.close());
  const master = { dir: join(dir, "ssh"), address };
  writeMasterFiles(master, privateKey, hostKey);
  await startMaster(master, netns, groups);
  return { id, dir, uid, slot, cgroupsPath, qmp, guest, hostKey, privateKey, ...process };
}

async function makePlace(context: BlankContext, id: string, cleanup: Cleanup) {
  const dir = context.dirOf(id);
  cleanup.add("directory", () => rm(dir, { recursive: true, force: true }));
  await mkdir(dir, { mode: 0o711 });
  for (const name of ["vm", "ssh"]) await mkdir(join(dir, name), { mode: 0o700 });
  const slot = await context.network.acquire(cleanup);
  const uid = FIRST_UID + Number(slot.id);
  chownSync(join(dir, "vm"), uid, uid);
  const cgroupsPath = context.cgroupOf(id);
  cleanup.add("machine", () => removeCgroup(cgroupsPath));
  return { dir, cgroupsPath, uid, slot };
}
