import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Cleanup, mount, mountImage, run, unmount } from "@mags/kit";
import { type Radosgw, startRadosgw } from "../../storage/src/objects/testing/radosgw.ts";
import { Daemon } from "../harness/daemon.ts";

/** In TEST-NET-3: nobody's address. Sandboxes reach this test by it, and another at the same time has another. */
const ADDRESS = `203.0.113.${1 + (process.pid % 250)}`;
/** All of a machine's disk: volumes, logs and PostgreSQL share it. */
const DISK = "3G";
/** A server that is away is asked again this long, `ms`. */
const PATIENCE_MS = 120_000;
const RETRY_MS = 200;
/** Holds how far the wall clock of the daemon is off, for libfaketime. */
const CLOCK = "clock";

/** A whole Mags on a disk of its own, with a real S3 server, and a place outside where scripts leave a mark. */
export class World {
  readonly dir: string;
  readonly disk: string;
  /** number of the block device that the disk is on, and nothing else */
  readonly device: string;
  readonly s3: Radosgw;
  readonly daemon: Daemon;
  /** how often each script has begun, by its token */
  readonly marks = new Map<string, number>();
  readonly #marker: Server;
  readonly #cleanup: Cleanup;

  private constructor(dir: string, device: string, s3: Radosgw, daemon: Daemon, marker: Server, cleanup: Cleanup) {
    this.dir = dir;
    this.disk = join(dir, "disk");
    this.device = device;
    this.s3 = s3;
    this.daemon = daemon;
    this.#marker = marker;
    this.#cleanup = cleanup;
  }

  static async create(): Promise<World> {
    const cleanup = new Cleanup();
    const dir = await mkdtemp("/tmp/mags-faults-");
    cleanup.add("directory", () => rm(dir, { recursive: true, force: true }));
    const disk = join(dir, "disk");
    const device = await makeDisk(dir, disk, cleanup);
    const s3 = await startRadosgw();
    cleanup.add("S3", () => s3.stop());
    await s3.bucket("mags");
    await run("ip", ["address", "replace", `${ADDRESS}/32`, "dev", "lo"]);
    cleanup.add("address", () => run("ip", ["address", "delete", `${ADDRESS}/32`, "dev", "lo"]));
    const marker = createServer();
    await new Promise<void>((resolve) => marker.listen(0, ADDRESS, resolve));
    cleanup.add("marker", () => void marker.close());
    const daemon = await Daemon.start(
      {
        MAGS_STORE: "s3://mags/prefix",
        MAGS_S3_ENDPOINT: s3.endpoint,
        MAGS_S3_ACCESS_KEY_ID: s3.accessKey,
        MAGS_S3_SECRET_ACCESS_KEY: s3.secretKey,
        MAGS_EGRESS_ALLOW: `${ADDRESS}:${(marker.address() as AddressInfo).port}`,
        MAGS_POOL_MIN: "0",
        MAGS_POOL_MAX: "0",
        MAGS_RATE_LIMIT: "0",
        // Jobs say what they run in: most in containers.
        MAGS_RUNTIME: "qemu",
        ...(await fakeClock(dir)),
      },
      disk,
    );
    cleanup.add("daemon", () => daemon.remove());
    const world = new World(dir, device, s3, daemon, marker, cleanup);
    marker.on("request", (request, response) => {
      const token = request.url?.slice(1) ?? "";
      world.marks.set(token, (world.marks.get(token) ?? 0) + 1);
      response.end();
    });
    return world;
  }

  /** Sets the wall clock of the daemon and of its PostgreSQL; it takes a second until both see it. */
  async setClock(offsetSeconds: number): Promise<void> {
    await writeFile(join(this.dir, CLOCK), `${offsetSeconds < 0 ? "" : "+"}${offsetSeconds}\n`);
  }

  /** A shell command that leaves the mark of `token`, or ends the script with 97. */
  leaveMark(token: string): string {
    const { port } = this.#marker.address() as AddressInfo;
    return `curl -fsS -m 10 http://${ADDRESS}:${port}/${token} || exit 97`;
  }

  /** Uploads a file, again until the server says that it has it; answers its id. */
  async upload(name: string, content: string): Promise<string> {
    const headers = { authorization: `Bearer ${await this.daemon.token()}` };
    for (const deadline = Date.now() + PATIENCE_MS; ; await delay(RETRY_MS)) {
      const body = new FormData();
      body.append("file", new Blob([content]), name);
      const answer = await fetch(`${this.daemon.url}/api/v1/mags-files`, { method: "POST", headers, body }).catch(
        () => null,
      );
      if (answer?.ok) return ((await answer.json()) as { file_id: string }).file_id;
      if (answer && answer.status < 500) throw new Error(`an upload is refused: ${await answer.text()}`);
      if (Date.now() > deadline) throw new Error("an upload did not work in time");
    }
  }

  /** One call of the API, repeated while the server is away or says that it cannot now; with a key it is done once all the same. */
  async ask(method: string, path: string, body?: unknown, key?: string) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const answer = await this.daemon
        .http(method, path, body, key === undefined ? {} : { "idempotency-key": key })
        .catch((error: Error) => error);
      if (!(answer instanceof Error) && answer.status < 500) return answer;
      if (Date.now() > deadline)
        throw new Error(
          `${method} ${path}: ${answer instanceof Error ? answer : `${answer.status} ${JSON.stringify(answer.body)}`}`,
        );
      await delay(RETRY_MS);
    }
  }

  /** What the daemon's process holds. */
  async held(): Promise<{ fds: number; rssMb: number }> {
    const fds = await readdir(`/proc/${this.daemon.pid}/fd`);
    const pages = (await readFile(`/proc/${this.daemon.pid}/statm`, "utf8")).split(" ")[1];
    return { fds: fds.length, rssMb: Math.round((Number(pages) * 4096) / 1024 ** 2) };
  }

  /** What each open descriptor of the daemon is, for the message of a leak. */
  async descriptors(): Promise<string[]> {
    const dir = `/proc/${this.daemon.pid}/fd`;
    return Promise.all((await readdir(dir)).map((fd) => readlink(join(dir, fd)).catch(() => "")));
  }

  async remove(): Promise<void> {
    await this.#cleanup.run();
  }
}

/** A file system with reflinks, whose own device is over memory; answers its number. */
async function makeDisk(dir: string, disk: string, cleanup: Cleanup): Promise<string> {
  const memory = join(dir, "memory");
  await mkdir(memory);
  mount("tmpfs", "test", memory, "size=4g");
  cleanup.add("memory", () => unmount(memory));
  const image = join(memory, "disk.xfs");
  await run("truncate", ["-s", DISK, image]);
  await run("mkfs.xfs", ["-q", "-m", "reflink=1", image]);
  await mkdir(disk);
  mountImage("xfs", image, disk, { data: "discard", fresh: true });
  cleanup.add("disk", () => unmount(disk));
  return run("findmnt", ["--noheadings", "--output", "MAJ:MIN", "--mountpoint", disk]);
}

/** Variables with which libfaketime moves the wall clock of a process and of those that it starts, and leaves the steady one. */
async function fakeClock(dir: string): Promise<Record<string, string>> {
  const file = join(dir, CLOCK);
  await writeFile(file, "+0\n");
  const library = (await run("dpkg", ["-L", "libfaketime"]))
    .split("\n")
    .find((path) => path.endsWith("/libfaketime.so.1"));
  if (!library) throw new Error("Debian's package libfaketime is not there");
  return {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_CACHE_DURATION: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
}
