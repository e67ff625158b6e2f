import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Running, run, spawn } from "@mags/kit";
import { Daemon } from "./daemon.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
/** TEST-NET-2: nobody's addresses. */
export const NETWORK = "198.51.100";

/** A switch, and machines at it: network namespaces of this machine, whose cables can be pulled. */
export class Lan {
  readonly #bridge = `mgt${process.pid}`;
  readonly #machines: Machine[] = [];
  readonly #network: string;

  private constructor(network: string) {
    this.#network = network;
  }

  /** `network` is the first three numbers of its addresses; two at a time must have different ones. */
  static async create(network = NETWORK): Promise<Lan> {
    const lan = new Lan(network);
    const route = await run("ip", ["route", "show", "match", `${network}.1`]);
    if (/^(?!default)/m.test(route) && route !== "") throw new Error(`${network}.0/24 is in use here: ${route}`);
    await run("ip", ["link", "add", lan.#bridge, "type", "bridge"]);
    await run("ip", ["address", "add", `${network}.1/24`, "dev", lan.#bridge]);
    await run("ip", ["link", "set", lan.#bridge, "up"]);
    return lan;
  }

  /** A machine with a network and a data directory of its own; nothing runs on it yet. */
  async machine(name: string, env: Record<string, string> = {}): Promise<Machine> {
    const number = 11 + this.#machines.length;
    const netns = `${this.#bridge}-${number}`;
    const cable = `${this.#bridge}c${number}`;
    await run("ip", ["netns", "add", netns]);
    const machine = new Machine(await mkdtemp("/tmp/mags-machine-"), {
      name,
      netns,
      cable,
      address: `${this.#network}.${number}`,
      env,
    });
    this.#machines.push(machine);
    await run("ip", ["link", "add", cable, "type", "veth", "peer", "name", "lan0", "netns", netns]);
    await run("ip", ["link", "set", cable, "master", this.#bridge, "up"]);
    for (const args of [
      ["address", "add", `${machine.address}/24`, "dev", "lan0"],
      ["link", "set", "lan0", "up"],
      ["link", "set", "lo", "up"],
    ])
      await run("ip", ["-n", netns, ...args]);
    return machine;
  }

  async remove(): Promise<void> {
    await Promise.all(this.#machines.map((machine) => machine.remove()));
    await run("ip", ["link", "delete", this.#bridge]);
  }
}

interface MachineOptions {
  name: string;
  netns: string;
  cable: string;
  address: string;
  env: Record<string, string>;
}

export class Machine {
  readonly dataDir: string;
  readonly name: string;
  readonly address: string;
  readonly #options: MachineOptions;
  #process: Running | undefined;

  constructor(dataDir: string, options: MachineOptions) {
    this.dataDir = dataDir;
    this.name = options.name;
    this.address = options.address;
    this.#options = options;
  }

  get env(): Record<string, string> {
    return {
      MAGS_DATA_DIR: this.dataDir,
      MAGS_IMAGE_DIR: process.env.MAGS_IMAGE_DIR || "/var/cache/mags/images",
      MAGS_NODE_NAME: this.name,
      MAGS_LISTEN: `${this.address}:7070`,
      MAGS_APPS_LISTEN: `${this.address}:7071`,
      MAGS_SSH_LISTEN: `${this.address}:7072`,
      MAGS_API_URL: `http://${this.address}:7070`,
      MAGS_POOL_MIN: "0",
      MAGS_POOL_MAX: "2",
      MAGS_MOUNT_NAMESPACE: "",
      ...this.#options.env,
    };
  }

  /** Runs a command on it. */
  run(command: string, ...args: string[]) {
    const env = this.env;
    return spawn("nsenter", [`--net=/run/netns/${this.#options.netns}`, command, ...args], {
      cwd: ROOT,
      env,
      reject: false,
      input: "",
    });
  }

  /** The command line on it. */
  mags(...args: string[]) {
    return this.run(join(ROOT, "cli/bin/mags"), ...args);
  }

  /** Starts the daemon; resolves when it says that it runs. */
  async start(): Promise<void> {
    const started = spawn(
      "nsenter",
      [`--net=/run/netns/${this.#options.netns}`, process.execPath, "magsd/src/main.ts"],
      {
        cwd: ROOT,
        env: this.env,
        reject: false,
        all: true,
      },
    );
    this.#process = started;
    const ended = started.then((result) => {
      throw new Error(`magsd of ${this.name} ended while starting: ${result.all}`);
    });
    ended.catch(() => undefined);
    const says = Promise.withResolvers<void>();
    started.all?.on("data", (data) => {
      if (/ is running|is ready/.test(String(data))) says.resolve();
    });
    await Promise.race([says.promise, ended]);
  }

  async stop(): Promise<void> {
    this.#process?.kill("SIGTERM");
    await this.#process;
    this.#process = undefined;
  }

  /** kill -9 of the daemon, as a crash does it; what runs in sandboxes goes on. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process;
    this.#process = undefined;
  }

  /** Pulls the network cable. */
  async cut(): Promise<void> {
    await run("ip", ["link", "set", this.#options.cable, "down"]);
  }

  async heal(): Promise<void> {
    await run("ip", ["link", "set", this.#options.cable, "up"]);
  }

  /** Power off: nobody hears of it again, and nothing on it runs. */
  async die(): Promise<void> {
    await this.cut();
    this.#process?.kill("SIGKILL");
    await this.#process;
    this.#process = undefined;
    for (const pid of await this.sandboxes()) process.kill(pid, "SIGKILL");
  }

  /** First processes of the sandboxes on it. */
  async sandboxes(): Promise<number[]> {
    const dir = await this.#runDir();
    const pids = [];
    for (const id of await readdir(dir).catch(() => []))
      pids.push(Number(await readFile(join(dir, id, "pid"), "utf8").catch(() => "0")));
    return pids.filter((pid) => pid > 0);
  }

  async remove(): Promise<void> {
    if (this.#process) await this.stop();
    if ((await readdir(this.dataDir)).includes("agent")) await Daemon.reap(this.dataDir);
    await run("ip", ["netns", "delete", this.#options.netns]);
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 5 });
  }

  async #runDir(): Promise<string> {
    const { createHash } = await import("node:crypto");
    return join("/run/mags", createHash("sha256").update(this.dataDir).digest("hex").slice(0, 8), "sandboxes");
  }
}

/** Asks until `probe` answers something; throws after `seconds` with what it threw last. Answers how long it took, `ms`, too. */
export async function eventually<T>(
  probe: () => Promise<T | undefined>,
  seconds = 60,
): Promise<{ value: T; ms: number }> {
  const since = performance.now();
  let last: unknown;
  while (performance.now() - since < seconds * 1000) {
    try {
      const value = await probe();
      if (value !== undefined) return { value, ms: performance.now() - since };
    } catch (error) {
      last = error;
    }
    await delay(100);
  }
  throw new Error(`not after ${seconds} s: ${last ?? "nothing came"}`);
}
