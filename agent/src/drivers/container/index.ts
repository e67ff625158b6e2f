import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { allEnded, Cleanup, type Logger } from "@mags/kit";
import type { Trace } from "@mags/protocol";
import { makeMountable, type Templates } from "@mags/storage";
import type { Network } from "../../network/index.ts";
import { cgroupLayout, favourMoves, listCgroups, prepareParent, removeCgroup } from "../../sandbox/cgroups.ts";
import type { Disk, Driver, DriverFacts, Image, Sandbox, SandboxSize } from "../../sandbox/driver.ts";
import { statFields } from "../../sandbox/processes.ts";
import { isAlive, readRecord, writeRecord } from "../../sandbox/record.ts";
import { mountDiskAgain, mountRoot, unmountRoot } from "./root.ts";
import { Runtime } from "./runtime.ts";
import { type ContainerRecord, ContainerSandbox } from "./sandbox.ts";
import { containerConfig, PIDS_LIMIT } from "./spec.ts";
import { detachLoops, sandboxTraces } from "./traces.ts";
import { idBase } from "./userns.ts";

export interface ContainerDriverOptions {
  /** state that lives as long as the machine is up, on a tmpfs: `/run/mags/<instance>` */
  runDir: string;
  /** directory for volume files, in the store of `volumes` */
  volumeDir: string;
  /** name of this agent among others on the machine */
  instance: string;
  /** `auto`, or name or path of an OCI runtime */
  ociRuntime: string;
  /** how long it may take to start a container, `ms`; a minute by default */
  startMs?: number;
  network: Network;
  volumes: Templates;
  logger: Logger;
}

/** Sandboxes as containers of an OCI runtime. */
export class ContainerDriver implements Driver {
  readonly facts: DriverFacts;
  readonly pidsLimit = PIDS_LIMIT;
  readonly #options: ContainerDriverOptions;
  readonly #runtime: Runtime;
  readonly #slots = new Set<number>();
  /** ids of sandboxes that live, from before the first to after the last of their traces */
  readonly #live = new Set<string>();
  #filter: Record<string, string> | undefined;

  private constructor(options: ContainerDriverOptions, runtime: Runtime) {
    this.#options = options;
    this.#runtime = runtime;
    this.facts = {
      driver: "container",
      driver_version: runtime.version,
      isolation: { level: "container", user_namespace: true, seccomp: true, kvm: false, emulated: false },
    };
  }

  /** Throws when no runtime works on this host. */
  static async open(options: ContainerDriverOptions): Promise<ContainerDriver> {
    await mkdir(join(options.runDir, "sandboxes"), { recursive: true, mode: 0o711 });
    await mkdir(options.volumeDir, { recursive: true });
    if (!(await favourMoves()))
      options.logger.info("control groups without favordynmods: starts take some 15 ms longer");
    const runtime = await Runtime.find(options.ociRuntime, join(options.runDir, "oci"), options.startMs);
    const driver = new ContainerDriver(options, runtime);
    await prepareParent(driver.#cgroupParent);
    return driver;
  }

  async create(image: Image, size: SandboxSize, disk?: Disk): Promise<Sandbox> {
    const id = `m${randomBytes(6).toString("hex")}`;
    const cleanup = new Cleanup();
    this.#lives(id, cleanup);
    const slot = this.#takeSlot(cleanup);
    try {
      const dir = await this.#makeDir(id, cleanup);
      const [network, volume] = await allEnded([
        this.#options.network.acquire(cleanup),
        this.#prepareDisk(id, size, disk, cleanup),
      ]);
      const base = idBase(slot);
      const kept = disk !== undefined && "kept" in disk;
      const rootfs = await mountRoot(dir, image.rootfs, { file: volume, kept }, base, cleanup);
      const cgroupsPath = `/${this.#cgroupParent}/${id}`;
      const config = containerConfig({
        id,
        rootfs,
        idBase: base,
        netnsPath: network.netnsPath,
        cgroupsPath,
        size,
        socketsApart: (await cgroupLayout()) !== "v2",
        annotations: this.#filter ?? {},
        binds: [
          ["/usr/bin/catatonit", "/dev/init"],
          [join(dir, "job"), "/run/mags"],
          [await this.#resolvConf(dir), "/etc/resolv.conf"],
        ],
      });
      await writeFile(join(dir, "config.json"), JSON.stringify(config));
      const record = { id, slot, idBase: base, networkId: network.id, size, image, cgroupsPath, volume, kept };
      await writeRecord(dir, { ...record, pid: 0, startTime: "" });
      cleanup.add("container", () => this.#removeContainer(id, cgroupsPath));
      await this.#runtime.start(id, dir);
      this.#filter ??= await this.#runtime.compiledFilter(id);
      await network.handOver();
      const pid = Number(await readFile(join(dir, "pid"), "utf8"));
      const full = { ...record, pid, startTime: statFields(pid).startTime };
      await writeRecord(dir, full);
      return new ContainerSandbox(full, this.#runtime, dir, network, cleanup);
    } catch (error) {
      await cleanup
        .run()
        .catch((failure) => this.#options.logger.warn({ err: failure, id }, "clean-up after a failed start"));
      throw error;
    }
  }

  async adopt(id: string): Promise<Sandbox | undefined> {
    const record = await readRecord<ContainerRecord>(this.#dirOf(id));
    if (!record || !isAlive(record)) return undefined;
    const cleanup = new Cleanup();
    this.#lives(id, cleanup);
    this.#slots.add(record.slot);
    cleanup.add("slot", () => this.#slots.delete(record.slot));
    const dir = this.#dirOf(id);
    cleanup.add("directory", () => rm(dir, { recursive: true, force: true }));
    if (!record.kept) cleanup.add("volume", () => rm(record.volume, { force: true }));
    const network = this.#options.network.adopt(record.networkId);
    cleanup.add("network", () => network.release());
    cleanup.add("root mounts", () => unmountRoot(dir));
    cleanup.add("container", () => this.#removeContainer(id, record.cgroupsPath));
    if (record.kept) await mountDiskAgain(dir, record.volume);
    if (record.policy) await network.restrict(record.policy);
    const sandbox = new ContainerSandbox(record, this.#runtime, dir, network, cleanup);
    await sandbox.hangUpSessions();
    return sandbox;
  }

  async reclaim(keep: ReadonlySet<string>): Promise<number> {
    let count = 0;
    const networks = new Set<string>();
    // Containers before the networks and files that they hold.
    for (const id of await this.#known()) {
      const record = await readRecord<ContainerRecord>(this.#dirOf(id));
      if (keep.has(id)) {
        if (record) networks.add(record.networkId);
        continue;
      }
      await this.#removeLeftover(id, record);
      count++;
    }
    return count + (await this.#options.network.reclaim(networks));
  }

  async traces(): Promise<Trace[]> {
    const traces = await sandboxTraces({
      sandboxes: join(this.#options.runDir, "sandboxes"),
      volumeDir: this.#options.volumeDir,
      cgroupParent: this.#cgroupParent,
    });
    const networks = await this.#options.network.taken();
    return [
      ...traces.map((trace) => ({ ...trace, held: this.#live.has(trace.name) })),
      ...networks.map(({ id, held }) => ({ kind: "network" as const, name: id, held })),
    ];
  }

  async removeTrace({ kind, name }: Pick<Trace, "kind" | "name">): Promise<void> {
    if (kind === "network") return void (await this.#options.network.reclaim(new Set()));
    if (!/^m[0-9a-f]{12}$/.test(name) || this.#live.has(name)) return;
    await this.#removeLeftover(name, await readRecord<ContainerRecord>(this.#dirOf(name)));
    await detachLoops(this.#options.volumeDir, name);
  }

  /** Removes what is shared by all sandboxes, where none is left. */
  async close(): Promise<void> {
    if (this.#slots.size > 0) return;
    await removeCgroup(this.#cgroupParent);
    await rm(this.#options.runDir, { recursive: true, force: true });
  }

  get #cgroupParent() {
    return `mags-${this.#options.instance}`;
  }

  #dirOf(id: string) {
    return join(this.#options.runDir, "sandboxes", id);
  }

  /** Answers the volume file; one of the sandbox's own goes with it. */
  async #prepareDisk(id: string, size: SandboxSize, disk: Disk | undefined, cleanup: Cleanup): Promise<string> {
    const kept = disk !== undefined && "kept" in disk;
    const volume = kept ? disk.kept : join(this.#options.volumeDir, `${id}.ext4`);
    if (!kept) cleanup.add("volume", () => rm(volume, { force: true }));
    if (!disk) await this.#options.volumes.create(volume, size.diskGb, "scratch");
    else if ("make" in disk) await disk.make(volume);
    const repaired = await makeMountable(volume);
    if (repaired !== undefined) disk?.log?.(`the disk's file system was damaged and has been repaired: ${repaired}`);
    return volume;
  }

  #lives(id: string, cleanup: Cleanup): void {
    this.#live.add(id);
    cleanup.add("name", () => this.#live.delete(id));
  }

  #takeSlot(cleanup: Cleanup): number {
    let slot = 0;
    while (this.#slots.has(slot)) slot++;
    this.#slots.add(slot);
    cleanup.add("slot", () => this.#slots.delete(slot));
    return slot;
  }

  async #makeDir(id: string, cleanup: Cleanup): Promise<string> {
    const dir = this.#dirOf(id);
    cleanup.add("directory", () => rm(dir, { recursive: true, force: true }));
    await mkdir(join(dir, "job"), { recursive: true, mode: 0o711 });
    return dir;
  }

  async #resolvConf(dir: string): Promise<string> {
    const path = join(dir, "resolv.conf");
    await writeFile(path, this.#options.network.resolvConf(), { mode: 0o644 });
    return path;
  }

  async #removeContainer(id: string, cgroupsPath: string): Promise<void> {
    // Its members are killed with it, also those of a container that the runtime never finished.
    await removeCgroup(cgroupsPath);
    await this.#runtime.forget(id);
  }

  /** Everything on the machine that bears the name of a sandbox of ours, from any of the places where one leaves traces. */
  async #known(): Promise<Set<string>> {
    const files = await readdir(this.#options.volumeDir);
    const volumes = files.filter((name) => /^m[0-9a-f]{12}\.ext4$/.test(name)).map((name) => name.slice(0, -5));
    const dirs = await readdir(join(this.#options.runDir, "sandboxes"));
    return new Set([...dirs, ...volumes, ...(await listCgroups(this.#cgroupParent))]);
  }

  async #removeLeftover(id: string, record: ContainerRecord | undefined): Promise<void> {
    this.#options.logger.info({ sandbox: id }, "removing a leftover sandbox");
    if (record && isAlive(record)) process.kill(record.pid, "SIGKILL");
    await this.#removeContainer(id, `/${this.#cgroupParent}/${id}`);
    await unmountRoot(this.#dirOf(id));
    await rm(this.#dirOf(id), { recursive: true, force: true });
    await rm(join(this.#options.volumeDir, `${id}.ext4`), { force: true });
  }
}
