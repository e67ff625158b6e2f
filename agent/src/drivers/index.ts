import type { Logger } from "@mags/kit";
import { levelOf, type NodeRuntimes } from "@mags/protocol";
import type { ReflinkStore, Templates } from "@mags/storage";
import type { Network } from "../network/index.ts";
import type { Driver, Drivers, Sandbox } from "../sandbox/driver.ts";
import { ContainerDriver } from "./container/index.ts";
import { chooseAccelerator } from "./qemu/accelerator.ts";
import { QemuDriver } from "./qemu/index.ts";

/** What the operator wants sandboxes to be; `auto` is machines where the host has KVM, else containers. */
export type Runtime = "auto" | "container" | "qemu";

export interface DriversOptions {
  runtime: Runtime;
  /** state that lives as long as the host is up: `/run/mags/<instance>` */
  runDir: string;
  store: ReflinkStore;
  volumeDir: string;
  instance: string;
  imageDir: string;
  ociRuntime: string;
  network: Network;
  volumes: Templates;
  logger: Logger;
}

/** The drivers of this node: containers always, virtual machines where the operator and the host want them. */
export class NodeDrivers implements Drivers {
  /** for jobs that do not say */
  readonly default: Driver;
  /** which that is, and why */
  readonly because: string;
  readonly #container: ContainerDriver;
  readonly #qemu: QemuDriver | undefined;

  private constructor(container: ContainerDriver, qemu: QemuDriver | undefined, because: string) {
    [this.#container, this.#qemu, this.because] = [container, qemu, because];
    this.default = qemu ?? container;
  }

  /** Throws when what the operator wants cannot be had. */
  static async open(options: DriversOptions): Promise<NodeDrivers> {
    const container = await ContainerDriver.open(options);
    if (options.runtime === "container") return new NodeDrivers(container, undefined, "containers, by MAGS_RUNTIME");
    const chosen = await chooseAccelerator(options.imageDir);
    if (options.runtime === "auto" && chosen.accelerator.name !== "kvm")
      return new NodeDrivers(container, undefined, `containers, because ${chosen.because}`);
    const runDir = `${options.runDir}-vm`;
    const qemu = await QemuDriver.open({ ...options, runDir, accelerator: chosen.accelerator });
    const how = chosen.accelerator.name === "kvm" ? "with KVM" : `under software emulation, because ${chosen.because}`;
    return new NodeDrivers(container, qemu, `virtual machines ${how}`);
  }

  /** What a job runs in. The server hands out what this node has; throws when it has not got it (any more). */
  for(job: Parameters<Drivers["for"]>[0]): Driver {
    if (job.runtime === "container") return this.#container;
    if (levelOf(job) !== "vm") return this.default;
    if (!this.#qemu) throw new Error(`this node has no virtual machines: ${this.because}`);
    return this.#qemu;
  }

  get runtimes(): NodeRuntimes {
    const machines = this.#qemu !== undefined;
    return {
      offered: machines ? ["qemu", "container"] : ["container"],
      default: machines ? "qemu" : "container",
      because: this.because,
    };
  }

  get all(): Driver[] {
    return this.#qemu ? [this.#container, this.#qemu] : [this.#container];
  }

  async adopt(id: string): Promise<Sandbox | undefined> {
    for (const driver of this.all) {
      const sandbox = await driver.adopt(id);
      if (sandbox) return sandbox;
    }
    return undefined;
  }

  async reclaim(keep: ReadonlySet<string>): Promise<number> {
    let count = 0;
    for (const driver of this.all) count += await driver.reclaim(keep);
    return count;
  }

  async close(): Promise<void> {
    await this.#qemu?.close();
    await this.#container.close();
  }
}
