import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Running, run, spawn } from "@mags/kit";
import type { Mags } from "@mags/sdk";
import { config } from "./config.ts";
import type { Contender } from "./runtimes.ts";
import { summarise } from "./stats.ts";
import { inTurns, timed } from "./turns.ts";
import type { Report } from "./workspaces.ts";

const BOOT_MS = 120_000;
/** Cold boots that are measured. */
const BOOTS = 3;
/** Where the first file system mounts the image, see images/vm/guest/init. */
const IMAGE_AT = "/lower";

/**
 * A job `true` in a virtual machine of the pool, beside a bare QEMU with the same kernel, first file system and image: its
 * cold boot to the end of a first command, and a command over an SSH connection that is open already: the shell of the image, as a
 * job's script has it, and for comparison the small static one of the first file system.
 */
export async function benchVms(mags: Mags, runs: number): Promise<Report> {
  const kvm = (await mags.nodes.list()).nodes.some(({ runtimes }) => runtimes?.because.endsWith("with KVM"));
  const idle = await idleMegabytes();
  const boots: number[] = [];
  for (let count = 1; count < BOOTS; count++) await (await boot(boots, kvm)).close();
  const bare = await boot(boots, kvm);
  const { requestId: machine } = await mags.run("true", { persistent: true, runtime: "qemu" });
  await mags.wait(machine);
  const refills: number[] = [];
  const contender = (
    name: string,
    once: () => Promise<number>,
    close = async (): Promise<void> => undefined,
  ): Contender => ({
    name,
    once,
    close,
  });
  const job = contender("POST to final, pool VM", () => runJob(mags, refills));
  const exec = contender("mags exec in a VM", () => timed(async () => void (await mags.exec(machine, ["/bin/true"]))));
  const open = contender(
    "exec in the image over open ssh",
    () => timed(() => bare.exec(`chroot ${IMAGE_AT} /bin/sh -c true`)),
    () => bare.close(),
  );
  const first = contender("exec in the first file system over open ssh", () => timed(() => bare.exec("true")));
  const times = await inTurns([job, exec, open, first], runs);
  await mags.stop(machine);
  times.set("cold boot, bare QEMU", boots);
  times.set("next VM from saved state", refills);
  const results = Object.fromEntries([...times].map(([name, list]) => [name, summarise(list)]));
  const ratio = (a: string, b: string) => (results[a]?.p50 ?? Number.NaN) / (results[b]?.p50 ?? Number.NaN);
  process.stderr.write(`memory of a machine that waits in the pool: ${idle} MB\n`);
  const ratios = {
    "pool VM / cold boot": ratio(job.name, "cold boot, bare QEMU"),
    [`pool VM / ${open.name}`]: ratio(job.name, open.name),
    [`pool VM / ${first.name}`]: ratio(job.name, first.name),
    [`mags exec / ${open.name}`]: ratio(exec.name, open.name),
    "saved state / cold boot": ratio("next VM from saved state", "cold boot, bare QEMU"),
  };
  return { results, ratios, aims: { "pool VM / cold boot": 0.05, [`pool VM / ${open.name}`]: 3 } };
}

/** Time of one job. The pool makes another machine meanwhile; how long that takes from the job's POST on is noted too. */
async function runJob(mags: Mags, refills: number[]): Promise<number> {
  const started = performance.now();
  const { requestId } = await mags.run("true", { runtime: "qemu" });
  const { status, error } = await mags.wait(requestId);
  const took = performance.now() - started;
  if (status !== "completed") throw new Error(`the job ended as ${status}: ${error}`);
  for (;;) {
    const { idle_vms, min_pool_size } = await mags.poolStatus();
    if (idle_vms >= Math.max(1, min_pool_size)) break;
    await delay(20);
  }
  refills.push(performance.now() - started);
  return took;
}

async function boot(boots: number[], kvm: boolean): Promise<BareMachine> {
  const machine = await BareMachine.boot(kvm);
  boots.push(machine.bootMs);
  return machine;
}

/** What the kernel counts for a machine that nobody uses. */
async function idleMegabytes(): Promise<number> {
  const root = "/sys/fs/cgroup";
  const tree = (await readdir(root)).includes("memory") ? join(root, "memory") : root;
  const sizes: number[] = [];
  for (const parent of (await readdir(tree)).filter((name) => /^mags-.*-vm$/.test(name))) {
    for (const name of await readdir(join(tree, parent))) {
      for (const file of ["memory.usage_in_bytes", "memory.current"]) {
        const text = await readFile(join(tree, parent, name, file), "utf8").catch(() => "");
        if (text) sizes.push(Number(text));
      }
    }
  }
  return Math.round((sizes.sort((a, b) => a - b)[Math.floor(sizes.length / 2)] ?? 0) / 1e6);
}

/** QEMU as one would start it by hand, and OpenSSH to it. */
class BareMachine {
  readonly bootMs: number;
  readonly #dir: string;
  readonly #ssh: string[];
  readonly #qemu: Running;

  private constructor(bootMs: number, dir: string, ssh: string[], qemu: Running) {
    [this.bootMs, this.#dir, this.#ssh, this.#qemu] = [bootMs, dir, ssh, qemu];
  }

  static async boot(kvm: boolean): Promise<BareMachine> {
    const dir = await mkdtemp("/tmp/mags-bench-vm-");
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(dir, "key")]);
    const [, key = ""] = (await readFile(join(dir, "key.pub"), "utf8")).split(" ");
    const port = await freePort();
    const files = ["-F", "none", "-S", join(dir, "ctl"), "-i", join(dir, "key")];
    const control = [...files, "-p", String(port), "-o", "LogLevel=QUIET"];
    const trust = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
    const ssh = [...control, ...trust, "-o", "ControlMaster=auto", "-o", "ControlPersist=yes", "root@127.0.0.1"];
    const started = performance.now();
    const qemu = spawn("qemu-system-x86_64", await bareArgs(key, port, kvm), { reject: false, stdin: "ignore" });
    const machine = () => new BareMachine(performance.now() - started, dir, ssh, qemu);
    for (;;) {
      const answered = await run("ssh", [...ssh, "true"]).then(
        () => true,
        () => false,
      );
      if (answered) return machine();
      if (performance.now() - started > BOOT_MS) throw await machine().#failed();
      await delay(50);
    }
  }

  async exec(command: string): Promise<void> {
    await run("ssh", [...this.#ssh, command]);
  }

  async close(): Promise<void> {
    await run("ssh", ["-O", "exit", ...this.#ssh]).catch(() => undefined);
    this.#qemu.kill("SIGKILL");
    await this.#qemu;
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #failed(): Promise<Error> {
    await this.close();
    return new Error(`the bare machine did not come up: ${(await this.#qemu).stderr}`);
  }
}

/** The same machine as the driver's, with QEMU's own network in place of a tap, because it shall need nothing of ours. */
async function bareArgs(key: string, port: number, kvm: boolean): Promise<string[]> {
  const boot = join(config.imageDir, ".vm");
  const image = join(config.imageDir, "base");
  const disk = (await readdir(image)).find((name) => name.endsWith(".erofs"));
  if (!disk) throw new Error("no machine has run here yet: start the server with MAGS_RUNTIME=qemu first");
  const network = `user,id=net,net=169.254.213.0/24,host=169.254.213.1,hostfwd=tcp:127.0.0.1:${port}-169.254.213.2:22022`;
  return [
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-machine", "q35,usb=off,smbus=off,sata=off", "-m", "608M"],
    ...(kvm ? ["-accel", "kvm", "-cpu", "host"] : ["-accel", "tcg,thread=multi,tb-size=96", "-cpu", "max"]),
    ...["-kernel", join(boot, "vmlinuz"), "-initrd", join(boot, "initramfs.gz")],
    ...["-append", `quiet panic=-1 box.key=${key}`],
    ...[
      "-blockdev",
      `driver=raw,node-name=root,read-only=on,file.driver=file,file.filename=${join(image, disk)},file.locking=off`,
    ],
    ...["-device", "virtio-blk-pci,drive=root", "-device", "virtio-scsi-pci,id=scsi0"],
    ...["-netdev", network, "-device", "virtio-net-pci,netdev=net,romfile="],
  ];
}

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve) =>
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    }),
  );
}
