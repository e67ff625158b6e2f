import { chownSync } from "node:fs";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { totalmem } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { bind, Cleanup, type Logger, run, unmount } from "@mags/kit";
import type { Trace } from "@mags/protocol";
import { distrust, mend, type ReflinkStore, type Templates } from "@mags/storage";
import type { Network } from "../../network/index.ts";
import { listCgroups, prepareParent, removeCgroup } from "../../sandbox/cgroups.ts";
import {
  type Disk,
  type Driver,
  type DriverFacts,
  type Image,
  type Ready,
  type Resuming,
  type Sandbox,
  SandboxDied,
  type SandboxSize,
} from "../../sandbox/driver.ts";
import { isAlive, readRecord, type SandboxRecord, writeRecord } from "../../sandbox/record.ts";
import type { Accelerator } from "./accelerator.ts";
import { type Blank, type BlankContext, madeOf, makeBlank } from "./blank.ts";
import { type BootFiles, diskOf, readBootFiles, Shown } from "./files.ts";
import { hostLimits, PIDS_LIMIT, qmpPath } from "./machine.ts";
import { Qmp } from "./qmp.ts";
import { dropUplink, type MachineRecord } from "./record.ts";
import { resumeMachine } from "./resume.ts";
import { QemuSandbox } from "./sandbox.ts";
import { SavedMachines } from "./saved.ts";

export interface QemuDriverOptions {
  /** state that lives as long as the host is up, on a tmpfs: `/run/mags/<instance>-vm` */
  runDir: string;
  /** with a directory for volume files in it */
  store: ReflinkStore;
  volumeDir: string;
  /** name of this agent among others on the host */
  instance: string;
  imageDir: string;
  accelerator: Accelerator;
  network: Network;
  volumes: Templates;
  logger: Logger;
}

const ID = /^m[0-9a-f]{12}$/;
const UP_MS = 60_000;
/** How long after its QEMU a machine's supervisor may end, `ms`. */
const DEATH_MS = 500;
/** What the names of a machine's files in the store end in. */
const [VOLUME, MEMORY] = [".vm", ".memory"];

/** Sandboxes as virtual machines of QEMU, each with a kernel of its own. */
export class QemuDriver implements Driver {
  readonly facts: DriverFacts;
  readonly pidsLimit = PIDS_LIMIT;
  readonly #options: QemuDriverOptions;
  readonly #context: BlankContext;
  readonly #shown: Shown;
  readonly #live = new Set<string>();

  private constructor(
    options: QemuDriverOptions,
    version: string,
    accelerator: Accelerator,
    boot: BootFiles,
    shown: Shown,
  ) {
    this.#options = options;
    this.#shown = shown;
    const kvm = accelerator.name === "kvm";
    this.facts = {
      driver: "qemu",
      driver_version: version,
      isolation: { level: "vm", user_namespace: false, seccomp: true, kvm, emulated: !kvm },
    };
    this.#context = {
      boot,
      version,
      saved: new SavedMachines(options.store, options.logger),
      logger: options.logger,
      memoryOf: (id) => join(options.volumeDir, `${id}${MEMORY}`),
      accelerator,
      network: options.network,
      rootDisk: async (image) => this.#shown.show(image.digest.replace(":", "-"), await diskOf(image)),
      dirOf: (id) => this.#dirOf(id),
      cgroupOf: (id) => `/${this.#cgroupParent}/${id}`,
      lives: (id, cleanup) => this.#lives(id, cleanup),
    };
  }

  /** Throws when QEMU or what its machines boot is not there. */
  static async open(options: QemuDriverOptions): Promise<QemuDriver> {
    const boot = await readBootFiles(options.imageDir);
    const said = await run("qemu-system-x86_64", ["--version"]).catch((cause) => {
      throw new Error("QEMU does not run here (apt-get install qemu-system-x86)", { cause });
    });
    const version = `QEMU ${/version (\S+)/.exec(said)?.[1] ?? "of unknown version"}`;
    await mkdir(join(options.runDir, "sandboxes"), { recursive: true, mode: 0o711 });
    await mkdir(options.volumeDir, { recursive: true });
    const shown = new Shown(join(options.runDir, "shown"));
    const kernel = await shown.show("kernel", boot.kernel);
    const initramfs = await shown.show("initramfs", boot.initramfs);
    const driver = new QemuDriver(options, version, options.accelerator, { ...boot, kernel, initramfs }, shown);
    await prepareParent(driver.#cgroupParent);
    return driver;
  }

  async create(image: Image, size: SandboxSize, disk?: Disk): Promise<Sandbox> {
    return (await this.prepare(image, size)).use(size, disk);
  }

  async prepare(image: Image, size: SandboxSize, signal?: AbortSignal): Promise<Ready> {
    refuseTooLarge(size);
    const cleanup = new Cleanup();
    const orUndo = <T>(work: () => Promise<T>) => this.#orUndo(cleanup, work);
    const blank = await orUndo(() => makeBlank(this.#context, image, size, cleanup, signal));
    return {
      isRunning: () => isAlive(blank),
      use: (wanted, disk) => orUndo(() => orDied(blank, () => this.#finish(blank, image, wanted, disk, cleanup))),
      discard: () => cleanup.run(),
    };
  }

  async resume(resuming: Resuming): Promise<Sandbox> {
    const { image, size, kept } = resuming;
    const cleanup = new Cleanup();
    return this.#orUndo(cleanup, async () => {
      const plug = async (machine: Pick<Blank, "id" | "dir" | "uid" | "qmp">) => {
        this.#forget(machine.id, undefined, cleanup);
        await this.#plug(machine, kept, true);
      };
      const blank = await resumeMachine(this.#context, resuming, plug, cleanup);
      return this.#open(blank, { size, image, volume: kept, kept: true }, cleanup);
    });
  }

  async adopt(id: string): Promise<Sandbox | undefined> {
    const record = await readRecord<MachineRecord>(this.#dirOf(id));
    if (!record || !isAlive(record)) return undefined;
    const cleanup = new Cleanup();
    const dir = this.#dirOf(id);
    this.#lives(id, cleanup);
    cleanup.add("directory", () => rm(dir, { recursive: true, force: true }));
    const network = this.#options.network.adopt(record.networkId);
    cleanup.add("network", () => network.release());
    this.#forget(id, record.kept ? undefined : record.volume, cleanup);
    cleanup.add("machine", () => removeCgroup(record.cgroupsPath));
    if (record.policy) await network.restrict(record.policy);
    const qmp = new Qmp(qmpPath(dir));
    const switchOff = () => switchMachineOff(record);
    const sandbox = new QemuSandbox({ record, dir, qmp, guest: undefined, network, cleanup, switchOff });
    // One that does not answer keeps no other from being taken up.
    sandbox
      .takeOver()
      .catch((error) => this.#options.logger.warn({ err: error, sandbox: id }, "a machine is not reached"));
    return sandbox;
  }

  async reclaim(keep: ReadonlySet<string>): Promise<number> {
    let count = 0;
    const networks = new Set<string>();
    // Machines before the networks and files that they hold.
    for (const id of await this.#known()) {
      const record = await readRecord<MachineRecord>(this.#dirOf(id));
      if (keep.has(id)) {
        if (record) networks.add(record.networkId);
        continue;
      }
      await this.#removeLeftover(id);
      count++;
    }
    return count + (await this.#options.network.reclaim(networks));
  }

  /** Networks are told by the driver of containers, for all. */
  async traces(): Promise<Trace[]> {
    const [directories, disks, cgroups] = await this.#places();
    const named = (kind: Trace["kind"], ids: string[]) =>
      [...new Set(ids)].map((name): Trace => ({ kind, name, held: this.#live.has(name) }));
    return [...named("directory", directories), ...named("disk", disks), ...named("cgroup", cgroups)];
  }

  async removeTrace({ name }: Pick<Trace, "kind" | "name">): Promise<void> {
    if (ID.test(name) && !this.#live.has(name) && (await this.#known()).has(name)) await this.#removeLeftover(name);
  }

  /** Removes what is shared by all machines, where none is left. */
  async close(): Promise<void> {
    await this.#shown.close();
    if (this.#live.size > 0) return;
    await removeCgroup(this.#cgroupParent);
    await rm(this.#options.runDir, { recursive: true, force: true });
  }

  async #finish(blank: Blank, image: Image, size: SandboxSize, disk: Disk | undefined, cleanup: Cleanup) {
    const { id, guest } = blank;
    const kept = disk !== undefined && "kept" in disk;
    const volume = kept ? disk.kept : this.#volumeOf(id);
    this.#forget(id, kept ? undefined : volume, cleanup);
    if (disk && "make" in disk) await disk.make(volume);
    else if (!disk) await this.#options.volumes.create(volume, size.diskGb, "scratch");
    const mended = kept && (await mend(volume));
    if (mended) disk.log?.(`the disk's file system was damaged and has been repaired: ${mended}`);
    await this.#plug(blank, volume, kept);
    const limits = `${size.memoryMb * 1024 * 1024} ${PIDS_LIMIT}`;
    const options = kept ? ",discard" : "";
    await guest.run(`box up ${limits} ${options || "''"}`, this.#options.network.resolvConf(), UP_MS);
    return this.#open(blank, { size, image, volume, kept }, cleanup);
  }

  /** Writes down what is known of it: from here on the next agent process can take it up. */
  async #open(
    blank: Blank,
    what: Pick<MachineRecord, "size" | "image" | "volume" | "kept">,
    cleanup: Cleanup,
  ): Promise<Sandbox> {
    const { id, dir, uid, qmp, guest, slot: network, cgroupsPath, hostKey, privateKey, pid, startTime } = blank;
    chownSync(join(dir, "vm"), uid, uid);
    const record: MachineRecord = {
      ...{ id, networkId: network.id, cgroupsPath, made: madeOf(this.#context), ...what },
      ...{ address: network.address, hostKey, privateKey, pid, startTime },
    };
    await writeRecord(dir, record);
    const switchOff = () => switchMachineOff(record);
    return new QemuSandbox({ record, dir, qmp, guest, network, cleanup, switchOff });
  }

  async #orUndo<T>(cleanup: Cleanup, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const failed = (failure: unknown) => this.#options.logger.warn({ err: failure }, "clean-up after a failed start");
      await cleanup.run().catch(failed);
      throw error;
    }
  }

  /** Shows the volume to QEMU, which cannot enter the directories of volumes, and plugs it in. */
  async #plug({ dir, uid, qmp }: Pick<Blank, "dir" | "uid" | "qmp">, volume: string, kept: boolean): Promise<void> {
    const shown = join(dir, "disk");
    // Its kernel may write any bytes.
    distrust(volume);
    await writeFile(shown, "");
    bind(volume, shown);
    chownSync(shown, uid, uid);
    const file = { driver: "file", filename: shown, discard: "unmap", locking: "off" };
    await qmp.execute("blockdev-add", {
      ...{ "node-name": "disk", driver: "raw", file, discard: "unmap" },
      // A disk that is thrown away need not reach the host's.
      cache: { "no-flush": !kept },
    });
    await qmp.execute("device_add", { driver: "scsi-hd", id: "disk", drive: "disk", bus: "scsi0.0" });
  }

  #forget(id: string, volume: string | undefined, cleanup: Cleanup): void {
    cleanup.add("volume", async () => {
      unmount(join(this.#dirOf(id), "disk"));
      if (volume !== undefined) await rm(volume, { force: true });
    });
  }

  get #cgroupParent() {
    return `mags-${this.#options.instance}-vm`;
  }

  #dirOf(id: string) {
    return join(this.#options.runDir, "sandboxes", id);
  }

  #volumeOf(id: string) {
    return join(this.#options.volumeDir, `${id}${VOLUME}`);
  }

  /** Everything on the host that bears the name of a machine of ours, from any of the places where one leaves traces. */
  async #known(): Promise<Set<string>> {
    return new Set((await this.#places()).flat());
  }

  /** Names in the places: directories, disks (and copies of memory), control groups. */
  async #places(): Promise<[string[], string[], string[]]> {
    const files = await readdir(this.#options.volumeDir);
    const disks = files.filter((name) => name.endsWith(VOLUME) || name.endsWith(MEMORY));
    const ids = (names: string[]) => names.map((name) => name.split(".")[0] ?? "").filter((id) => ID.test(id));
    const directories = await readdir(join(this.#options.runDir, "sandboxes"));
    return [ids(directories), ids(disks), ids([...(await listCgroups(this.#cgroupParent))])];
  }

  #lives(id: string, cleanup: Cleanup): void {
    this.#live.add(id);
    cleanup.add("name", () => this.#live.delete(id));
  }

  async #removeLeftover(id: string): Promise<void> {
    this.#options.logger.info({ sandbox: id }, "removing a leftover machine");
    await removeCgroup(`/${this.#cgroupParent}/${id}`);
    for (const shown of ["disk", "memory"]) unmount(join(this.#dirOf(id), shown));
    await rm(this.#dirOf(id), { recursive: true, force: true });
    await rm(this.#volumeOf(id), { force: true });
    await rm(this.#context.memoryOf(id), { force: true });
  }
}

/** Sooner than the host's kernel would, which then ends whatever it likes. */
function refuseTooLarge(size: SandboxSize): void {
  const [needed, there] = [hostLimits(size).memory, totalmem()].map((bytes) => Math.floor(bytes / 1024 ** 2));
  if (Number(needed) > Number(there))
    throw new Error(`a machine of ${size.memoryMb} MiB takes ${needed} MiB of memory; this host has ${there} MiB`);
}

/** What fails because the machine has ended by itself is told apart; it is looked before anything of it is taken away. */
async function orDied<T>(machine: Pick<SandboxRecord, "pid" | "startTime">, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const deadline = performance.now() + DEATH_MS;
    while (isAlive(machine) && performance.now() < deadline) await delay(20);
    if (isAlive(machine)) throw cause;
    throw new SandboxDied(`the machine ended before it could be used: ${(cause as Error).message}`, { cause });
  }
}

/** With its link to the host first: what it still says is nothing to anybody, and the link goes at once. */
async function switchMachineOff(record: MachineRecord): Promise<void> {
  dropUplink(record);
  await removeCgroup(record.cgroupsPath);
}
