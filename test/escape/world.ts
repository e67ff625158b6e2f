import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Running } from "@mags/kit";
import { Mags } from "@mags/sdk";
import { Lan, type Machine } from "../harness/machines.ts";

/** Addresses that a host or its network may have, and that no sandbox may reach. */
export const METADATA = ["169.254.169.254", "168.63.129.16", "100.100.100.200"];
export const PRIVATE = ["10.1.2.3", "10.213.255.254", "172.16.5.5", "192.168.7.7"];
/** TEST-NET-3, so that it may run beside other tests of whole machines */
const NETWORK = "203.0.113";
/** nobody's: what is sent there can be seen to leave, and arrives nowhere */
export const OUTSIDE = "198.51.100.9";
/** API, gateway, SSH and cluster; what others listen on */
const PORTS = [22, 80, 443, 2375, 5432, 6443, 7070, 7071, 7072, 7073, 8000, 9000];

const MEMORY_MB = 256;

const NEIGHBOUR = `
cat >/root/server.py <<'END'
import socket, threading
def tcp():
    server = socket.create_server(("0.0.0.0", 8000))
    while True:
        connection, address = server.accept()
        print("tcp", address[0], flush=True)
        connection.close()
threading.Thread(target=tcp, daemon=True).start()
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("0.0.0.0", 8000))
while True:
    data, address = sock.recvfrom(65536)
    print("udp", address[0], data[:20], flush=True)
END
echo secret-of-the-neighbour >/root/secret
python3 /root/server.py >/root/seen 2>&1 &`;

const ADDRESSES = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("203.0.113.1", 9))
gateway = [line.split()[2] for line in open("/proc/net/route") if line.split()[1] == "00000000"][0]
print(s.getsockname()[0], socket.inet_ntoa(bytes.fromhex(gateway)[::-1]))`;

export interface Inside {
  id: string;
  address: string;
  gateway: string;
  /** first process on the host */
  pid: number;
}

/** A host in a network namespace of its own, with a whole Mags and everything on it that an escape would want; and a neighbour. */
export class World {
  readonly host: Machine;
  readonly canary: string;
  neighbour!: Inside;
  mags!: Mags;
  token!: string;
  /** what the sniffers saw: `<where> <mark> <head of the frame>` */
  readonly heard: string[] = [];
  readonly #lan: Lan;
  readonly #dir: string;
  readonly #running: Running[] = [];

  private constructor(lan: Lan, host: Machine, dir: string) {
    this.#lan = lan;
    this.host = host;
    this.#dir = dir;
    this.canary = join(dir, "canary");
  }

  static async create(env: Record<string, string>): Promise<World> {
    const lan = await Lan.create(NETWORK);
    const dir = await mkdtemp(join(tmpdir(), "mags-escape-"));
    const world = new World(lan, await lan.machine("host", { MAGS_POOL_MAX: "3", ...env }), dir);
    try {
      await writeFile(world.canary, "secret-of-the-host", { mode: 0o644 });
      await world.#furnish();
      await world.host.start();
      world.token = (await readFile(join(world.host.dataDir, "admin.token"), "utf8")).trim();
      world.mags = new Mags({ apiUrl: `http://${world.host.address}:7070`, apiToken: world.token });
      world.neighbour = await world.sandbox("container", NEIGHBOUR);
      await world.#listenAt(world.neighbour);
      return world;
    } catch (error) {
      await world.remove();
      throw error;
    }
  }

  /** A sandbox that stays. */
  async sandbox(runtime: "container" | "qemu", script = "true"): Promise<Inside> {
    const before = new Set(await this.host.sandboxes());
    const { requestId } = await this.mags.run(script, { persistent: true, runtime, memoryMb: MEMORY_MB, diskGb: 0.5 });
    const job = await this.mags.wait(requestId);
    if (job.exit_code !== 0) throw new Error(`the sandbox is ${job.status}: ${job.error}`);
    const { stdout } = await this.mags.exec(requestId, ["python3", "-c", ADDRESSES]);
    const [address = "", gateway = ""] = stdout.trim().split(" ");
    const pid = (await this.host.sandboxes()).find((each) => !before.has(each)) ?? 0;
    return { id: requestId, address, gateway, pid };
  }

  async shell(id: string, command: string): Promise<string> {
    return (await this.mags.exec(id, command)).stdout;
  }

  /** What an attacker is told, so that nothing fails for want of knowledge. */
  facts(attacker: Inside, disks: number[][], ownKernel: boolean) {
    return {
      canary: this.canary,
      disks,
      pids: [process.pid, process.ppid, this.neighbour.pid].filter((pid) => pid > 2000),
      host_addresses: [...new Set([attacker.gateway, this.neighbour.gateway, this.host.address])],
      host_ports: PORTS,
      metadata: METADATA,
      private: PRIVATE,
      neighbour: this.neighbour.address,
      gateway: attacker.gateway,
      own: attacker.address,
      outside: OUTSIDE,
      own_kernel: ownKernel,
      memory: MEMORY_MB << 20,
    };
  }

  /** Sends the neighbour and the outside what sniffers must see, so that their silence means something. */
  async sendHonest(): Promise<void> {
    const send = `import socket, sys
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"HON" + b"EST-", (sys.argv[1], 8000))`;
    await this.host.run("python3", "-c", send, this.neighbour.address);
    await this.mags.exec(this.neighbour.id, ["python3", "-c", send, OUTSIDE]);
  }

  async remove(): Promise<void> {
    for (const each of this.#running) each.kill("SIGKILL");
    await Promise.allSettled(this.#running);
    if (this.mags)
      for (const { request_id } of (await this.mags.list({ status: "running", pageSize: 100 })).jobs)
        await this.mags.stop(request_id).catch(() => undefined);
    await this.#lan.remove();
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #furnish(): Promise<void> {
    for (const address of [...METADATA, ...PRIVATE])
      await this.host.run("ip", "address", "add", `${address}/32`, "dev", "lo");
    const gate = `${NETWORK}.99`;
    await this.host.run("ip", "neighbour", "add", gate, "lladdr", "02:00:00:00:00:99", "dev", "lan0");
    await this.host.run("ip", "route", "add", "198.51.100.0/24", "via", gate, "dev", "lan0");
    const free = PORTS.filter((port) => ![7070, 7071, 7072, 7073].includes(port)).map(String);
    await this.#until("ready", "listening", this.host.run("python3", join(import.meta.dirname, "listen.py"), ...free));
    const sniffer = join(import.meta.dirname, "sniff.py");
    await this.#until("ready", "uplink", this.host.run("python3", sniffer, "lan0"));
  }

  async #listenAt({ pid }: Inside): Promise<void> {
    const args = [`--net=/proc/${pid}/ns/net`, "python3", join(import.meta.dirname, "sniff.py"), "eth0"];
    await this.#until("ready", "neighbour", this.host.run("nsenter", ...args));
  }

  /** Waits for a word of a program that goes on; what it says after that is noted. */
  async #until(word: string, where: string, running: Running): Promise<void> {
    this.#running.push(running);
    running.catch(() => undefined);
    await new Promise<void>((resolve, reject) => {
      running.stdout?.on("data", (data) => {
        for (const line of String(data).trim().split("\n")) {
          if (line === word) resolve();
          else this.heard.push(`${where} ${line}`);
        }
      });
      void running.then((end) => reject(new Error(`${where} ended: ${end.stderr}`)));
    });
  }
}
