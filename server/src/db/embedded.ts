import { createHash } from "node:crypto";
import { accessSync, constants, lstatSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Logger, type RunOptions, run, spawn } from "@mags/kit";
import pg from "pg";
import { postgresBinaries } from "./binaries.ts";
import { chooseIdentity, giveTo, type Identity } from "./identity.ts";

const USER = "mags";
const START_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 20_000;
const WATCH_MS = 100;
const LOG_LIMIT_BYTES = 16 * 1024 * 1024;

export interface EmbeddedPostgresOptions {
  /** directory that will hold the cluster; made if missing */
  dir: string;
  logger: Logger;
  /** further PostgreSQL settings, such as TimeZone */
  settings?: Record<string, string>;
  /** npm package that holds PostgreSQL's binaries; the current version by default */
  package?: string;
}

export interface EmbeddedPostgres {
  /** connection string for `pg` */
  url: string;
  /** process id of the postmaster now */
  pid(): number;
  /** Stops supervising and shuts PostgreSQL down (fast: open transactions are rolled back). */
  close(): Promise<void>;
}

/**
 * Starts a PostgreSQL of our own, or adopts the one a killed server left running, and keeps it up until `close`.
 * It is detached on purpose: it outlives kill -9 of this process, so that the next start finds it warm.
 * Throws Error when no binaries are installed or it does not come up; RunError when initdb fails.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dir = resolve(options.dir);
  const binaries = postgresBinaries(options.package);
  const cluster = new Cluster(dir, await socketDirectory(dir), binaries, await chooseIdentity(), options);
  await cluster.prepare();
  await cluster.ensureUp();
  const watching = cluster.watch();
  return {
    url: `postgresql://${USER}@localhost/postgres?host=${encodeURIComponent(cluster.socketDir)}`,
    pid: () => cluster.pid,
    close: async () => {
      cluster.closing.abort();
      await watching;
      await cluster.stop();
    },
  };
}

class Cluster {
  readonly closing = new AbortController();
  readonly socketDir: string;
  readonly #dir: string;
  readonly #bin: string;
  readonly #identity: Identity;
  readonly #options: EmbeddedPostgresOptions;
  pid = 0;

  constructor(dir: string, socketDir: string, bin: string, identity: Identity, options: EmbeddedPostgresOptions) {
    this.#dir = dir;
    this.socketDir = socketDir;
    this.#bin = bin;
    this.#identity = identity;
    this.#options = options;
  }

  get #data(): string {
    return join(this.#dir, "data");
  }

  /** Makes the cluster once; initdb goes to another name first, so that a half-made one is never taken for whole. */
  async prepare(): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    await giveTo(this.#dir, this.#identity.uid);
    await giveTo(this.socketDir, this.#identity.uid);
    if (await exists(join(this.#data, "PG_VERSION"))) return;
    const fresh = join(this.#dir, "data.new");
    await rm(fresh, { recursive: true, force: true });
    await this.#run("initdb", ["-D", fresh, "-U", USER, "--auth=trust", "--locale=C.UTF-8", "--encoding=UTF8"]);
    await rename(fresh, this.#data);
  }

  /** Returns once queries are answered. Throws Error with PostgreSQL's last words after 60 s. */
  async ensureUp(): Promise<void> {
    const deadline = Date.now() + START_DEADLINE_MS;
    for (;;) {
      const running = await this.#runningPid();
      if (running && (await this.#answers())) {
        this.pid = running;
        return;
      }
      if (!running) await this.#launch();
      if (Date.now() > deadline)
        throw new Error(`PostgreSQL did not start in ${START_DEADLINE_MS} ms: ${await this.#lastWords()}`);
      await sleep(20);
    }
  }

  /** Restarts the postmaster whenever it is gone, until `closing`. */
  async watch(): Promise<void> {
    const { logger } = this.#options;
    while (!this.closing.signal.aborted) {
      await sleep(WATCH_MS, undefined, { signal: this.closing.signal }).catch(() => undefined);
      if (this.closing.signal.aborted || (await alive(this.pid))) continue;
      logger.error({ pid: this.pid }, "PostgreSQL died; starting it again");
      await this.ensureUp().then(
        () => logger.info({ pid: this.pid }, "PostgreSQL is up again"),
        (err) => logger.error({ err }, "PostgreSQL does not come back"),
      );
    }
  }

  async stop(): Promise<void> {
    const pid = await this.#runningPid();
    if (!pid) return;
    process.kill(pid, "SIGINT");
    const deadline = Date.now() + STOP_DEADLINE_MS;
    while ((await alive(pid)) && Date.now() < deadline) await sleep(20);
  }

  /** Starts a postmaster and returns when it answers or has given up (an old one's children may still hold on). */
  async #launch(): Promise<void> {
    const path = join(this.#dir, "postgres.log");
    if (((await stat(path).catch(() => undefined))?.size ?? 0) > LOG_LIMIT_BYTES) await truncate(path);
    const file = await open(path, "a", 0o600);
    const [command = "", ...args] = [
      ...this.#identity.prefix,
      join(this.#bin, "postgres"),
      "-D",
      this.#data,
      ...this.#settings(),
    ];
    let exited = false;
    try {
      // Any descriptor works; the types know only the first ten.
      const log = file.fd as 3;
      const options: RunOptions = {
        detached: true,
        cleanup: false,
        reject: false,
        buffer: false,
        stdin: "ignore",
        stdout: log,
        stderr: log,
        cwd: "/",
      };
      const child = spawn(command, args, options);
      child.nodeChildProcess.unref();
      void child.then(() => {
        exited = true;
      });
    } finally {
      await file.close();
    }
    const deadline = Date.now() + START_DEADLINE_MS;
    while (!exited && Date.now() < deadline && !(await this.#answers())) await sleep(10);
    if (exited) await sleep(100);
  }

  #settings(): string[] {
    const settings = {
      listen_addresses: "",
      unix_socket_directories: this.socketDir,
      unix_socket_permissions: "0700",
      max_connections: "64",
      shared_buffers: "64MB",
      jit: "off",
      log_timezone: "UTC",
      ...this.#options.settings,
    };
    return Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
  }

  async #runningPid(): Promise<number | undefined> {
    const text = await readFile(join(this.#data, "postmaster.pid"), "utf8").catch(() => "");
    const pid = Number(text.split("\n")[0]);
    if (!Number.isInteger(pid) || pid <= 0 || !(await alive(pid))) return undefined;
    // The number may have passed to another program since.
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    return command.includes(this.#data) || command.startsWith("postgres") ? pid : undefined;
  }

  async #answers(): Promise<boolean> {
    const client = new pg.Client({
      host: this.socketDir,
      user: USER,
      database: "postgres",
      connectionTimeoutMillis: 5000,
    });
    client.on("error", () => undefined);
    try {
      await client.connect();
      await client.query("SELECT 1");
      return true;
    } catch {
      return false;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async #run(program: string, args: string[]): Promise<void> {
    const [command = "", ...rest] = [...this.#identity.prefix, join(this.#bin, program), ...args];
    await run(command, rest, { cwd: "/" });
  }

  async #lastWords(): Promise<string> {
    const text = await readFile(join(this.#dir, "postgres.log"), "utf8").catch(() => "");
    return text.trim().split("\n").slice(-5).join(" | ") || "(no message)";
  }
}

/** A socket's path may have 107 bytes at most; a deep data directory gets a short one of its own elsewhere. */
async function socketDirectory(dir: string): Promise<string> {
  if (Buffer.byteLength(join(dir, ".s.PGSQL.5432")) <= 107) {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return dir;
  }
  const short = join(
    writable("/run") ? "/run" : tmpdir(),
    `mags-${createHash("sha256").update(dir).digest("hex").slice(0, 12)}`,
  );
  await mkdir(short, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  const info = lstatSync(short);
  // Trust authentication rests on this directory being ours alone.
  const owner = process.getuid?.() ?? 0;
  if (!info.isDirectory() || (info.uid !== owner && owner !== 0) || (info.mode & 0o077) !== 0) {
    throw new Error(`${short} exists but is not a private directory of this user: remove it`);
  }
  return short;
}

function writable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

/** A zombie counts as dead: nobody may be there to reap an adopted postmaster. */
async function alive(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const state = text.slice(text.lastIndexOf(")") + 2, text.lastIndexOf(")") + 3);
  return state !== "" && state !== "Z" && state !== "X";
}
