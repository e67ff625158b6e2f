import { randomBytes } from "node:crypto";
import { chownSync, closeSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { bind, Cleanup, type Logger, makeSshKey, type SshKey, unmount } from "@mags/kit";
import type { Network, NetworkSlot } from "../../network/index.ts";
import { makeCgroup, removeCgroup } from "../../sandbox/cgroups.ts";
import type { Image, SandboxSize } from "../../sandbox/driver.ts";
import { statFields } from "../../sandbox/processes.ts";
import { isAlive } from "../../sandbox/record.ts";
import type { Accelerator } from "./accelerator.ts";
import type { BootFiles } from "./files.ts";
import { Guest } from "./guest.ts";
import { identify, makeMac } from "./identity.ts";
import { hostLimits, type MachineSpec, memoryBytes, openMonitor, startMachine } from "./machine.ts";
import type { Qmp } from "./qmp.ts";
import { dropUplink, netnsOf } from "./record.ts";
import type { Boot, Saved, SavedMachines } from "./saved.ts";
import { startMaster, writeMasterFiles } from "./ssh.ts";
import { SETTLE_MS, saveState } from "./state.ts";
import { FIRST_ADDRESS, plugTap } from "./tap.ts";

/** First user id of machines; with a network's number it is nobody else's on this host. */
const FIRST_UID = 0x3000_0000;
const BOOT_MS = 90_000;
const AFTER_IDENTITY_MS = 60_000;

export interface BlankContext {
  boot: BootFiles;
  /** version of QEMU */
  version: string;
  accelerator: Accelerator;
  network: Network;
  saved: SavedMachines;
  logger: Logger;
  /** the image as a file that QEMU's user may read */
  rootDisk(image: Image): Promise<string>;
  dirOf(id: string): string;
  cgroupOf(id: string): string;
  /** what bears this name on the host belongs to a machine that lives, until the cleanup has run */
  lives(id: string, cleanup: Cleanup): void;
  /** a file in the store of volumes, of which the next agent process knows whose it was */
  memoryOf(id: string): string;
}

/** A process, told from one that has got its number later. */
interface Process {
  pid: number;
  startTime: string;
}

/** What is a machine's on the host, before it runs. */
export interface Place {
  id: string;
  dir: string;
  uid: number;
  slot: NetworkSlot;
  cgroupsPath: string;
}

/** A machine that is up and its own, with no disk yet. */
export interface Blank extends Place, Process {
  qmp: Qmp;
  guest: Guest;
  hostKey: string;
  privateKey: string;
}

/**
 * Starts a machine, from a saved one where that can be had, and makes it one of its own. Throws when it does not come up;
 * what was made is on `cleanup`.
 */
export async function makeBlank(
  context: BlankContext,
  image: Image,
  size: SandboxSize,
  cleanup: Cleanup,
  signal?: AbortSignal,
): Promise<Blank> {
  const saved = await context.saved.get(madeOf(context), image, size, bootToSave(context, image, size, signal));
  signal?.throwIfAborted();
  if (!saved) return makeFrom(context, { image, size, cleanup, signal });
  const attempt = new Cleanup();
  cleanup.add("machine", () => attempt.run());
  try {
    const blank = await makeFrom(context, { image, size, cleanup: attempt, signal, saved });
    saved.proven = true;
    return blank;
  } catch (error) {
    if (saved.proven || signal?.aborted) throw error;
    // It may be broken, as by a disk that has lost some of it.
    context.logger.warn({ err: error }, "a machine did not come up from the saved one, which is removed; it boots");
    await context.saved.drop(saved);
    await attempt.run();
    return makeFrom(context, { image, size, cleanup, signal });
  }
}

interface Making {
  image: Image;
  size: SandboxSize;
  cleanup: Cleanup;
  signal: AbortSignal | undefined;
  saved?: Saved;
}

async function makeFrom(context: BlankContext, making: Making): Promise<Blank> {
  const { image, size, cleanup, signal, saved } = making;
  const place = await makePlace(context, cleanup);
  const mac = makeMac();
  const key = saved?.key ?? makeSshKey("machine");
  const { qmp, ...process } = saved
    ? await startSaved(context, place, { image, size, key, mac, saved, cleanup })
    : await start(context, place, { image, size, key, mac });
  giveUpOn(signal, place, cleanup);
  cleanup.add("uplink", () => dropUplink(process));
  const isUp = () => isAlive(process);
  const netns = netnsOf(process);
  const within = (ms: number) => performance.now() + ms;
  const stranger = await Guest.connect(firstAddress(netns, key), isUp, within(BOOT_MS));
  const { privateKey, publicKey } = makeSshKey("machine");
  const { address, gateway } = place.slot;
  const identity = { name: place.id, address, gateway, mac, publicKey };
  const hostKey = await identify(stranger, identity).finally(() => stranger.close());
  const guest = await Guest.connect({ netns, address, privateKey, hostKey }, isUp, within(AFTER_IDENTITY_MS));
  cleanup.add("connection", () => guest.close());
  const blank = { ...place, ...process, qmp, guest, hostKey, privateKey };
  await letScriptsIn(blank, size);
  return blank;
}

/** What else than the image and the size a saved machine depends on. */
export const madeOf = ({ boot, version, accelerator }: BlankContext): string =>
  [boot.recipe, version, accelerator.name].join("\n");

/** Opens the connection that scripts run over. */
export async function letScriptsIn(blank: Blank, size: MachineSpec["size"]): Promise<void> {
  const { dir, slot, privateKey, hostKey, cgroupsPath } = blank;
  const master = { dir: join(dir, "ssh"), address: slot.address };
  writeMasterFiles(master, privateKey, hostKey);
  await startMaster(master, netnsOf(blank), await makeCgroup(cgroupsPath, hostLimits(size)));
}

const firstAddress = (netns: string, { privateKey }: SshKey) => ({
  netns,
  address: FIRST_ADDRESS,
  privateKey,
  hostKey: undefined,
});

export type Start = Pick<MachineSpec, "size" | "mac" | "memoryFrom" | "memoryTo" | "incoming"> & {
  image: Image;
  /** address that it still has */
  cameFrom?: string;
  key: SshKey;
};

export async function start(context: BlankContext, place: Place, options: Start): Promise<Process & { qmp: Qmp }> {
  const { image, key, size, cameFrom, ...rest } = options;
  const { boot, accelerator } = context;
  const { dir, uid, slot, cgroupsPath } = place;
  const rootDisk = await context.rootDisk(image);
  const spec: MachineSpec = { ...rest, dir, boot, rootDisk, size, accelerator, publicKey: key.publicKey };
  const groups = await makeCgroup(cgroupsPath, hostLimits(size));
  const tap = await plugTap(slot, cameFrom);
  let pid: number;
  try {
    pid = startMachine(spec, uid, slot.netnsPath, groups, tap);
  } finally {
    closeSync(tap);
  }
  const process = { pid, startTime: statFields(pid).startTime };
  const qmp = await openMonitor(spec, () => isAlive(process));
  await slot.handOver();
  return { ...process, qmp };
}

type StartSaved = Pick<Start, "image" | "size" | "key" | "mac"> & { saved: Saved; cleanup: Cleanup };

/** With a copy of the saved memory, which is nobody else's and has no name as soon as QEMU has it open. */
async function startSaved(context: BlankContext, place: Place, { saved, cleanup, ...options }: StartSaved) {
  const copy = context.memoryOf(place.id);
  cleanup.add("memory", () => rm(copy, { force: true }));
  context.saved.copyMemory(saved, copy);
  const memoryFrom = await showMemory(place, copy, cleanup);
  try {
    return await start(context, place, { ...options, memoryFrom, incoming: { file: saved.state, memory: "apart" } });
  } finally {
    unmount(memoryFrom);
    await rm(copy, { force: true });
  }
}

/** Boots a machine that is to be saved; it has a place like any other, and nothing of it is left. */
const bootToSave =
  (context: BlankContext, image: Image, size: SandboxSize, signal: AbortSignal | undefined): Boot =>
  async ({ memory, state, key }) => {
    const cleanup = new Cleanup();
    try {
      const place = await makePlace(context, cleanup);
      giveUpOn(signal, place, cleanup);
      const memoryTo = await showMemory(place, memory, cleanup);
      const options = { image, size, key, mac: makeMac(), memoryTo };
      const { qmp, ...process } = await start(context, place, options);
      cleanup.add("uplink", () => dropUplink(process));
      const netns = netnsOf(process);
      const guest = await Guest.connect(firstAddress(netns, key), () => isAlive(process), performance.now() + BOOT_MS);
      // An orderly end: what is saved must not wait for more of this connection.
      await guest.end();
      const socket = join(place.dir, "vm", "state.sock");
      await delay(SETTLE_MS);
      await saveState(qmp, state, { socket, uid: place.uid, most: memoryBytes(size) }, "apart");
      await qmp.execute("quit").catch(() => undefined);
    } finally {
      await cleanup.run();
      chownSync(memory, 0, 0);
    }
  };

export async function makePlace(context: BlankContext, cleanup: Cleanup): Promise<Place> {
  const id = `m${randomBytes(6).toString("hex")}`;
  const dir = context.dirOf(id);
  context.lives(id, cleanup);
  cleanup.add("directory", () => rm(dir, { recursive: true, force: true }));
  await mkdir(dir, { mode: 0o711 });
  for (const name of ["vm", "ssh"]) await mkdir(join(dir, name), { mode: 0o700 });
  const slot = await context.network.acquire(cleanup);
  const uid = FIRST_UID + Number(slot.id);
  chownSync(join(dir, "vm"), uid, uid);
  const cgroupsPath = context.cgroupOf(id);
  cleanup.add("machine", () => removeCgroup(cgroupsPath));
  return { id, dir, uid, slot, cgroupsPath };
}

async function showMemory({ dir, uid }: Place, file: string, cleanup: Cleanup): Promise<string> {
  const shown = join(dir, "memory");
  await writeFile(shown, "");
  bind(file, shown);
  cleanup.add("shown memory", () => unmount(shown));
  chownSync(shown, uid, uid);
  return shown;
}

/** Whoever gives up does not wait for a boot: without its processes it fails at once. */
function giveUpOn(signal: AbortSignal | undefined, { cgroupsPath }: Place, cleanup: Cleanup): void {
  const giveUp = () => void removeCgroup(cgroupsPath);
  signal?.addEventListener("abort", giveUp, { once: true });
  cleanup.add("signal", () => signal?.removeEventListener("abort", giveUp));
  if (signal?.aborted) giveUp();
}
