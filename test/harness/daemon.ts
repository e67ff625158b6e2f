import { createHash, randomInt } from "node:crypto";
import { createWriteStream } from "node:fs";
import { access, mkdir, mkdtemp, readdir, readFile, readlink, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Running, run, spawn } from "@mags/kit";
import { Mags } from "@mags/sdk";
import { logsDir } from "./config.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const READY_MS = 60_000;
/** How a line of the log begins that tells of a failure nobody caught. */
const FATAL = '{"level":60,';

/** A whole Mags in a process of its own, on its own data directory and port; it can be killed and started again. */
export class Daemon {
  readonly dataDir: string;
  readonly port: number;
  readonly appsPort: number;
  readonly sshPort: number;
  readonly #env: Record<string, string>;
  #process: Running | undefined;
  /** what it said before it was stopped */
  #said = "";
  /** those that were asked to stop */
  readonly #asked = new Set<Running>();

  private constructor(dataDir: string, [port, appsPort, sshPort]: number[], env: Record<string, string>) {
    this.dataDir = dataDir;
    this.port = port as number;
    this.appsPort = appsPort as number;
    this.sshPort = sshPort as number;
    this.#env = env;
  }

  /** `below` is the directory for its own. */
  static async start(env: Record<string, string> = {}, below = "/tmp"): Promise<Daemon> {
    const daemon = new Daemon(await mkdtemp(join(below, "mags-test-")), await freePorts(3), env);
    await daemon.start();
    return daemon;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Names what is this daemon's on the machine: control groups, interfaces, directories in `/run/mags`. */
  get instance(): string {
    return createHash("sha256").update(this.dataDir).digest("hex").slice(0, 8);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get env(): Record<string, string> {
    return {
      MAGS_DATA_DIR: this.dataDir,
      MAGS_LISTEN: `127.0.0.1:${this.port}`,
      MAGS_APPS_LISTEN: `127.0.0.1:${this.appsPort}`,
      MAGS_SSH_LISTEN: `127.0.0.1:${this.sshPort}`,
      MAGS_API_URL: this.url,
      MAGS_PUBLIC_URL: this.url,
      MAGS_IMAGE_DIR: process.env.MAGS_IMAGE_DIR || "/var/cache/mags/images",
      MAGS_POOL_MIN: "1",
      MAGS_POOL_MAX: "4",
      MAGS_MOUNT_NAMESPACE: "",
      ...this.#env,
    };
  }

  async token(): Promise<string> {
    return (await readFile(join(this.dataDir, "admin.token"), "utf8")).trim();
  }

  async client(): Promise<Mags> {
    return new Mags({ apiUrl: this.url, apiToken: await this.token() });
  }

  /** One HTTP call with the admin token; answers status and parsed body. */
  async http(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${await this.token()}`, "content-type": "application/json", ...headers },
      body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === "" ? null : JSON.parse(text) };
  }

  /** The CLI against this daemon. */
  cli(args: string[], options: { input?: string } = {}) {
    return spawn(join(ROOT, "cli/bin/mags"), args, {
      env: this.env,
      reject: false,
      stripFinalNewline: false,
      input: options.input ?? "",
    });
  }

  async start(): Promise<void> {
    this.#process = spawn(process.execPath, ["magsd/src/main.ts"], {
      cwd: ROOT,
      env: this.env,
      reject: false,
      all: true,
    });
    if (logsDir !== "")
      this.#process.all?.pipe(createWriteStream(join(logsDir, `${basename(this.dataDir)}.log`), { flags: "a" }));
    const ended = this.#process.then((result) => {
      throw new Error(`magsd ended while starting (${result.exitCode ?? result.signal}): ${result.all}`);
    });
    ended.catch(() => undefined);
    await Promise.race([this.#ready(), ended]);
    void this.#watch(this.#process);
  }

  /** kill -9, as a crash does it. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process;
  }

  /** Answers everything that it said. */
  async stop(): Promise<string> {
    if (this.#process) this.#asked.add(this.#process);
    this.#process?.kill("SIGTERM");
    this.#said = String((await this.#process)?.all ?? "");
    return this.#said;
  }

  /** Lines about a sandbox before the daemon was stopped. */
  #saidOf(id: string): string[] {
    return this.#said.split("\n").filter((line) => line.includes(id));
  }

  /** Ids of the sandboxes that are there. */
  async sandboxes(): Promise<string[]> {
    const of = (dir: string) => readdir(join("/run/mags", dir, "sandboxes")).catch(() => []);
    return [...(await of(this.instance)), ...(await of(`${this.instance}-vm`))];
  }

  /** The machine burns: nothing of the data directory is left, nor of what ran. The directory is there again, empty. */
  async loseDataDir(): Promise<void> {
    await this.#stopJobs().catch(() => undefined);
    await this.stop();
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 5 });
    await mkdir(this.dataDir);
  }

  /** kill -9 of the first process of a sandbox, with which all of it ends: a container's init, or QEMU. */
  async killSandbox(id: string, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const pid = await readFile(join("/run/mags", this.instance, "sandboxes", id, "pid"), "utf8").catch(() =>
      qemuOf(id),
    );
    process.kill(Number(pid), signal);
  }

  /** Stops and removes everything, jobs that a failed test left running too. */
  async remove(): Promise<void> {
    await this.#stopJobs().catch(() => undefined);
    await this.stop();
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 5 });
  }

  /**
   * Ends what a killed daemon has left, as the loss of its machine would: started once more on its data directory with
   * an empty database of its own, it finds that nothing is wanted of it.
   */
  async removeAsLost(): Promise<void> {
    const { DATABASE_URL: _, MAGS_STORE: __, ...env } = this.#env;
    await Daemon.reap(this.dataDir, env);
  }

  /** Likewise for a data directory whose daemon was started in another way. */
  static async reap(dataDir: string, env: Record<string, string> = {}): Promise<void> {
    await rm(join(dataDir, "cluster.json"), { force: true });
    const reaper = new Daemon(dataDir, await freePorts(3), env);
    await reaper.start();
    await reaper.remove();
  }

  /** What is left on the machine of this daemon's sandboxes; empty when all is gone. */
  async leftovers(): Promise<string[]> {
    const instance = this.instance;
    const found: string[] = [];
    for (const tree of await readdir("/sys/fs/cgroup")) {
      for (const parent of [`mags-${instance}`, `mags-${instance}-vm`]) {
        const entries = await readdir(`/sys/fs/cgroup/${tree}/${parent}`, { withFileTypes: true }).catch(() => []);
        for (const entry of entries) if (entry.isDirectory()) found.push(`cgroup ${tree}/${entry.name}`);
      }
    }
    for (const line of (await run("ip", ["-o", "link"])).split("\n"))
      if (line.includes(` mg${instance.slice(0, 6)}`)) found.push(line);
    for (const name of await readdir("/run/netns").catch(() => []))
      if (name.includes(instance)) found.push(`netns ${name}`);
    for (const place of [instance, `${instance}-vm`])
      for (const name of await readdir(`/run/mags/${place}/sandboxes`).catch(() => [])) found.push(`sandbox ${name}`);
    for (const name of await this.#disks()) found.push(`disk ${name}`, ...this.#saidOf(name.replace(/\..*/, "")));
    for (const line of (await run("losetup", ["-a"])).split("\n"))
      if (line.includes(this.dataDir)) found.push(`loop ${line}`);
    const namespaces = new Set<string>();
    for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
      const namespace = await readlink(`/proc/${pid}/ns/mnt`).catch(() => "");
      if (namespace !== "" && !namespaces.has(namespace)) {
        namespaces.add(namespace);
        for (const line of (await readFile(`/proc/${pid}/mountinfo`, "utf8").catch(() => "")).split("\n"))
          if (line.includes(`/run/mags/${instance}`)) found.push(`mount seen by ${pid}: ${line}`);
      }
      const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      const ours = command.includes(`/run/mags/${instance}`) || command.includes(`${this.dataDir}/agent`);
      if (ours) found.push(`process ${pid} ${command.replaceAll("\0", " ")}`);
    }
    return found;
  }

  /**
   * Disks of sandboxes; they lie in a store that may be a file system of its own. A process looks there, in a mount namespace
   * that goes with it: here, a daemon that another test starts at that moment would have the mount, too, and keep it.
   */
  async #disks(): Promise<string[]> {
    const store = join(this.dataDir, "agent/store");
    const look = join(import.meta.dirname, "disks.ts");
    return JSON.parse(await run("unshare", ["--mount", process.execPath, look, store]));
  }

  async #stopJobs(): Promise<void> {
    const mags = await this.client();
    for (const status of ["accepted", "starting", "running"] as const)
      for (const job of (await mags.list({ status, pageSize: 200 })).jobs)
        await mags.stop(job.request_id).catch(() => undefined);
    await untilEmpty(async () => ((await mags.poolStatus()).busy_vms === 0 ? [] : ["busy sandboxes"]), 60_000);
  }

  /** What ends the daemon or one of its threads, and was not asked for, fails the whole run, whichever test was at it. */
  async #watch(process: Running): Promise<void> {
    const result = await process;
    const asked = this.#asked.has(process);
    const said = String(result.all ?? "");
    const fatal = said.split("\n").filter((line) => line.startsWith(FATAL));
    if (fatal.length > 0) throw new Error(`magsd failed:\n${fatal.join("\n")}`);
    if (result.exitCode && !asked) throw new Error(`magsd ended by itself (${result.exitCode}): ${said.slice(-4000)}`);
  }

  async #ready(): Promise<void> {
    const deadline = Date.now() + READY_MS;
    while (Date.now() < deadline) {
      const ready = await fetch(`${this.url}/readyz`).then(
        (response) => response.ok,
        () => false,
      );
      const open = ready && (await Promise.all([this.appsPort, this.sshPort].map(takesConnections))).every(Boolean);
      if (open && (await access(join(this.dataDir, "admin.token")).then(() => true))) return;
      await delay(50);
    }
    throw new Error("magsd was not ready in time");
  }
}

/** Waits until `check` answers something empty; throws with what was left after `ms`. */
export async function untilEmpty(check: () => Promise<string[]>, ms = 60_000): Promise<void> {
  const deadline = Date.now() + ms;
  let left = await check();
  while (left.length > 0) {
    if (Date.now() > deadline) throw new Error(`still there:\n${left.join("\n")}`);
    await delay(100);
    left = await check();
  }
}

/** The process of a virtual machine's QEMU. */
async function qemuOf(id: string): Promise<number> {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const read = (file: string) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
    if ((await read("comm")).startsWith("qemu") && (await read("cgroup")).includes(id)) return Number(pid);
  }
  throw new Error(`sandbox ${id} has no process`);
}

function takesConnections(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  return new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  }).finally(() => socket.destroy());
}

/** Ports that are free now, all different, and none of those that the kernel gives to whoever connects: those go at any moment. */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  while (servers.length < count) {
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(randomInt(10_000, 32_000), "127.0.0.1", () => resolve(true));
    });
    if (free) servers.push(server);
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  return ports;
}
