/** What the tests of this package share: a real database in a temporary directory, and a client of both HTTP APIs. */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@mags/kit";
import type { Assignment, RanBy, ReportJob, ScriptEnd } from "@mags/protocol";
import { type ObjectStore, openObjectStore } from "@mags/storage";
import pg from "pg";
import { type EmbeddedPostgres, type Server, type ServerOptions, startEmbeddedPostgres, startServer } from "./index.ts";

export const ADMIN = "admin-token-of-the-tests";
export const NODE_TOKEN = "node-token-of-the-tests";
/** base64 of 32 bytes */
export const SECRET_KEY = Buffer.alloc(32, 7).toString("base64");
export const logger = createLogger("silent");

/** A zone with an odd offset brings to light where local time is taken for UTC. */
export const settings = { TimeZone: "America/St_Johns" };

export const workspaces = {
  retention: { keepLast: 20, keepDays: 7 },
  graceMs: 3600_000,
  collectMs: 3600_000,
  quota: { workspaces: 1000, storedBytes: 2 ** 40 },
};

export interface World extends AsyncDisposable {
  dir: string;
  postgres: EmbeddedPostgres;
  objects: ObjectStore;
  server: Server;
  /** direct access to the rows, to see what the API really did */
  sql: pg.Pool;
  /** with other options than the first, where some are given */
  startServer(other?: Partial<ServerOptions>): Promise<Server>;
  restartServer(): Promise<void>;
}

export async function startWorld(options: Partial<ServerOptions> = {}): Promise<World> {
  const dir = await mkdtemp(join(tmpdir(), "mags-server-"));
  const postgres = await startEmbeddedPostgres({ dir: join(dir, "postgres"), logger, settings });
  const objects = await openObjectStore({ kind: "directory", path: join(dir, "objects") });
  await objects.check();
  const start = (other: Partial<ServerOptions> = {}) =>
    startServer({
      dataDir: dir,
      databaseUrl: postgres.url,
      listen: { host: "127.0.0.1", port: 0 },
      adminToken: ADMIN,
      nodeToken: NODE_TOKEN,
      objects,
      files: { maxBytes: 64 * 1024 * 1024, quotaBytes: 1024 * 1024 * 1024, keepSeconds: 3600 },
      cron: { minSeconds: 60 },
      tokens: { requestsPerMinute: 0 },
      secretKeys: [SECRET_KEY],
      urls: { appsUrl: "http://apps.localhost:7071", privateUrls: false },
      ssh: { host: "127.0.0.1", port: 7072, hostKey: "ssh-ed25519 AAAA" },
      workspaces,
      logger,
      version: "0.0.0-test",
      ...options,
      ...other,
    });
  const sql = new pg.Pool({ connectionString: postgres.url });
  sql.on("error", () => undefined);
  const query = sql.query.bind(sql) as (...all: unknown[]) => Promise<unknown>;
  // TRUNCATE and what the server does in the background may wait for each other; PostgreSQL then ends one of them.
  sql.query = (async (...all: unknown[]) => {
    for (;;) {
      try {
        return await query(...all);
      } catch (error) {
        if ((error as { code?: string }).code !== "40P01") throw error;
      }
    }
  }) as never;
  sql.on("connect", (client) => client.on("error", () => undefined));
  const world: World = {
    dir,
    postgres,
    objects,
    sql,
    server: await start(),
    startServer: start,
    restartServer: async () => {
      await world.server.close();
      world.server = await start();
    },
    [Symbol.asyncDispose]: async () => {
      await world.server.close();
      await sql.end();
      await postgres.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return world;
}

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any;
}

export async function call(
  world: World,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const token = path.startsWith("/node/") ? NODE_TOKEN : ADMIN;
  const raw = typeof body === "string" ? body : body === undefined ? undefined : JSON.stringify(body);
  const json: Record<string, string> = raw === undefined ? {} : { "content-type": "application/json" };
  const response = await fetch(world.server.url + path, {
    method,
    ...(raw === undefined ? {} : { body: raw }),
    headers: { authorization: `Bearer ${token}`, ...json, ...headers },
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text.startsWith("{") ? JSON.parse(text) : text };
}

export const createJob = (world: World, job: object = {}, headers = {}) =>
  call(world, "POST", "/api/v1/mags-jobs", { script: "true", ...job }, headers);

export const ranBy = (node: string): RanBy => ({
  node,
  driver: "container",
  driver_version: "crun 1",
  image: "base",
  image_digest: "0".repeat(64),
  machine: "m1",
  isolation: { level: "container", user_namespace: true, seccomp: true, kvm: false, emulated: false },
  limits: { vcpus: 1, memory_mb: 512, disk_gb: 2, pids: 512, timeout: 300 },
});

export const ended = (end: Partial<ScriptEnd> = {}): ScriptEnd => ({
  reason: "exited",
  exit_code: 0,
  signal: null,
  error: null,
  script_duration_ms: 5,
  log_truncated: false,
  ...end,
});

/** Speaks the node protocol as an agent does. */
export class TestNode {
  readonly name: string;
  readonly #world: World;
  bootId = randomUUID();
  address = "http://127.0.0.1:9";
  imageDigests = ["0".repeat(64)];
  size = { vcpus: 4, memory_mb: 4096 };
  isolation = ["container"];

  constructor(world: World, name: string) {
    this.#world = world;
    this.name = name;
  }

  register() {
    return call(this.#world, "POST", "/node/v1/register", {
      node: this.name,
      boot_id: this.bootId,
      address: this.address,
      ...this.size,
      isolation: this.isolation,
      rootfs_types: ["base"],
      image_digests: this.imageDigests,
    });
  }

  async claim(
    options: { vcpus?: number; memoryMb?: number; max?: number; waitMs?: number; has?: string[] } = {},
  ): Promise<Assignment[]> {
    const { vcpus = this.size.vcpus, memoryMb = this.size.memory_mb, max = 10, waitMs = 0, has = null } = options;
    const answer = await call(this.#world, "POST", "/node/v1/claim", {
      node: this.name,
      boot_id: this.bootId,
      free_vcpus: vcpus,
      free_memory_mb: memoryMb,
      max,
      wait_ms: waitMs,
      has,
    });
    if (answer.status !== 200) throw new Error(`claim answered ${answer.status}: ${answer.body.message}`);
    return answer.body.jobs;
  }

  renew(jobs: { id: string; attempt: number }[], suspended: { id: string; wakes: number }[] = []) {
    return call(this.#world, "POST", "/node/v1/renew", {
      node: this.name,
      boot_id: this.bootId,
      jobs: jobs.map(({ id, attempt }) => ({ id, attempt })),
      suspended,
    });
  }

  report(report: ReportJob) {
    return call(this.#world, "POST", "/node/v1/report", report);
  }

  started({ id, attempt }: { id: string; attempt: number }) {
    return this.report({ event: "started", id, attempt, ran_by: ranBy(this.name) });
  }

  finished({ id, attempt }: { id: string; attempt: number }, end: Partial<ScriptEnd> = {}) {
    return this.report({ event: "finished", id, attempt, end: ended(end), ran_by: ranBy(this.name) });
  }
}
