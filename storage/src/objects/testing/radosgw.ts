import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { Cleanup, type Running, run, spawn } from "@mags/kit";

// A directory of Debian's package. A file system in memory covers it, for the processes of this cluster alone.
const HOME = "/var/lib/ceph";
const READY_MS = 60_000;
const REGION = "us-east-1";

/** A real S3 server: Ceph's gateway before one monitor and one store in memory. */
export interface Radosgw {
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly region: string;
  /** process ids of everything that was started and runs */
  pids(): number[];
  /** creates a bucket */
  bucket(name: string): Promise<void>;
  /** stops the gateway's process, connections stay open and are not answered */
  pause(): void;
  resume(): void;
  /** kill -9 of the gateway; objects stay */
  kill(): Promise<void>;
  /** starts the gateway again on the same address */
  restart(): Promise<void>;
  /** ends all processes and frees their memory */
  stop(): Promise<void>;
}

/**
 * Starts a cluster of its own on loopback in about two seconds, with some 150 MB of memory. It needs root and Debian's
 * packages radosgw, ceph-mon and ceph-osd. All of it is gone after `stop`, and also when this process is killed.
 */
export async function startRadosgw(): Promise<Radosgw> {
  const cleanup = new Cleanup();
  try {
    return await start(cleanup);
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}

async function start(cleanup: Cleanup): Promise<Radosgw> {
  const [monitorPort, port] = [await freePort(), await freePort()];
  const [accessKey, secretKey] = [randomBytes(10).toString("hex"), randomBytes(20).toString("hex")];
  const endpoint = `http://127.0.0.1:${port}`;
  const cluster = await Cluster.create(cleanup);
  const [fsid, osd] = [randomUUID(), randomUUID()];
  await cluster.write("ceph.conf", configuration(fsid, monitorPort, port));
  await cluster.write("keyring", keyring());

  await cluster.run("monmaptool", ["--create", "--add", "a", `127.0.0.1:${monitorPort}`, "--fsid", fsid, "monmap"]);
  await cluster.run("ceph-mon", ["--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "keyring"]);
  cluster.daemon("ceph-mon", ["-i", "a"]);
  await cluster.run("ceph", ["osd", "new", osd]);
  await cluster.run("ceph-osd", ["-i", "0", "--mkfs", "--osd-uuid", osd]);
  cluster.daemon("ceph-osd", ["-i", "0"]);
  const user = ["user", "create", "--uid=mags", "--display-name=mags"];
  const client = ["-n", "client.rgw"];
  await cluster.run("radosgw-admin", [...client, ...user, `--access-key=${accessKey}`, `--secret-key=${secretKey}`]);

  let gateway = cluster.daemon("radosgw", client);
  const answered = () => Promise.race([untilAnswered(endpoint), failed(gateway)]);
  await answered();
  return {
    endpoint,
    accessKey,
    secretKey,
    region: REGION,
    pids: () => cluster.pids(),
    pause: () => void gateway.kill("SIGSTOP"),
    resume: () => void gateway.kill("SIGCONT"),
    kill: () => end(gateway),
    restart: async () => {
      await end(gateway);
      gateway = cluster.daemon("radosgw", client);
      await answered();
    },
    stop: () => cleanup.run(),
    bucket: async (name) => {
      const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey };
      const s3 = new S3Client({ endpoint, region: REGION, forcePathStyle: true, credentials });
      await s3.send(new CreateBucketCommand({ Bucket: name }));
      s3.destroy();
    },
  };
}

/** Processes that share a file system in memory which goes with the last of them. */
class Cluster {
  readonly #running = new Set<Running>();
  readonly #cleanup: Cleanup;
  #enter: string[] = [];

  private constructor(cleanup: Cleanup) {
    this.#cleanup = cleanup;
  }

  static async create(cleanup: Cleanup): Promise<Cluster> {
    const cluster = new Cluster(cleanup);
    const script = `mount -t tmpfs -o mode=0700 mags-radosgw ${HOME} && cd ${HOME} && mkdir mon osd rgw && echo ready && exec sleep infinity`;
    const holder = cluster.#spawn(["unshare", "--mount", "--propagation", "private", "sh", "-c", script]);
    await Promise.race([once(holder.stdout as NodeJS.EventEmitter, "data"), failed(holder)]);
    cluster.#enter = [`--mount=/proc/${holder.pid}/ns/mnt`, `--wd=/proc/${holder.pid}/cwd`];
    return cluster;
  }

  /** Runs one of Ceph's programs to its end. */
  run(program: string, args: string[], input?: string): Promise<string> {
    // `timeout` hands the signal on, so that neither outlives us.
    const bounded = ["--pdeathsig", "TERM", "timeout", String(READY_MS / 1000)];
    return run("setpriv", [...bounded, "nsenter", ...this.#enter, program, ...args], { env: ENVIRONMENT, input });
  }

  write(name: string, text: string): Promise<string> {
    return this.run("sh", ["-c", `umask 077; cat > ${name}`], text);
  }

  daemon(program: string, args: string[]): Running {
    return this.#spawn(["nsenter", ...this.#enter, program, "-f", ...args]);
  }

  pids(): number[] {
    return [...this.#running].flatMap(({ pid }) => pid ?? []);
  }

  #spawn(command: string[]): Running {
    const running = spawn("setpriv", ["--pdeathsig", "KILL", ...command], {
      reject: false,
      stdin: "ignore",
      env: ENVIRONMENT,
    });
    this.#running.add(running);
    running.finally(() => this.#running.delete(running));
    this.#cleanup.add(command.join(" "), () => end(running));
    return running;
  }
}

// Paths that the programs would else look at before ours.
const ENVIRONMENT = { CEPH_CONF: `${HOME}/ceph.conf`, CEPH_KEYRING: `${HOME}/keyring` };

async function end(running: Running): Promise<void> {
  running.kill("SIGKILL");
  await running;
}

async function failed(running: Running): Promise<never> {
  const { escapedCommand, exitCode, signal, stderr } = await running;
  throw new Error(`${escapedCommand} ended (${exitCode ?? signal}): ${String(stderr).slice(-2000)}`);
}

async function untilAnswered(endpoint: string): Promise<void> {
  const deadline = Date.now() + READY_MS;
  while (Date.now() < deadline) {
    const answered = await fetch(endpoint, { signal: AbortSignal.timeout(1000) }).then(
      (response) => response.ok,
      () => false,
    );
    if (answered) return;
    await delay(20);
  }
  throw new Error(`the gateway at ${endpoint} was not ready in time`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Every name may do everything: who gets in at all is the gateway's business. */
function keyring(): string {
  const rights = {
    "mon.": ["mon"],
    "client.admin": ["mon", "osd"],
    "client.rgw": ["mon", "osd"],
    "osd.0": ["mon", "osd"],
  };
  return Object.entries(rights)
    .map(([name, caps]) => `[${name}]\nkey = ${cephKey()}\n${caps.map((cap) => `caps ${cap} = "allow *"\n`).join("")}`)
    .join("");
}

/** A key as Ceph writes it: type, time of making (seconds, nanoseconds), length, 16 bytes. */
function cephKey(): string {
  const header = Buffer.alloc(12);
  header.writeUInt16LE(1, 0);
  header.writeUInt32LE(Math.floor(Date.now() / 1000), 2);
  header.writeUInt16LE(16, 10);
  return Buffer.concat([header, randomBytes(16)]).toString("base64");
}

// Ceph's monitor waits a second before each change of the cluster's maps, and a start makes a dozen of them; without
// the wait it takes 2 s and not 15. cephx is on because the gateway hangs without.
const configuration = (fsid: string, monitorPort: number, port: number): string => `
[global]
fsid = ${fsid}
mon_host = v2:127.0.0.1:${monitorPort}
public_addr = 127.0.0.1
ms_bind_ipv6 = false
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = ${HOME}/keyring
run_dir = ${HOME}
admin_socket =
log_file =
mon_cluster_log_file =
log_to_stderr = false
err_to_stderr = true
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
[mon]
mon_data = ${HOME}/mon
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
[osd]
osd_data = ${HOME}/osd
osd_objectstore = memstore
memstore_device_bytes = 2147483648
osd_memory_target = 939524096
[client.rgw]
rgw_data = ${HOME}/rgw
rgw_frontends = beast endpoint=127.0.0.1:${port} tcp_nodelay=1
rgw_enable_apis = s3
rgw_enable_usage_log = false
rgw_run_sync_thread = false
`;
