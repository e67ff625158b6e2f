import { randomBytes } from "node:crypto";
import {
  ApiError,
  type CreateUrlAlias,
  can,
  DEFAULT_PORT,
  type DoorGuard,
  doorLimits,
  type OpenDoor,
  type UrlAlias,
  type UrlOpened,
} from "@mags/protocol";
import type { Database, Queryable } from "../db/database.ts";
import type { Jobs } from "../jobs/service.ts";
import { newSubdomain, portLabel, readHost } from "./decide.ts";
import { describeGuard, makeGuard } from "./guard.ts";
import {
  type AliasRow,
  countDoors,
  deleteAlias,
  findAlias,
  findDoor,
  listAliases,
  putAlias,
  putDoor,
} from "./store.ts";

/** A door that a host name leads to: a port of a job, and what its visitors must show. */
export interface UrlDoor {
  org: string;
  job: string;
  port: number;
  guard: DoorGuard;
}

export interface UrlOptions {
  /** scheme, domain and port that the subdomains of all apps are below, such as https://apps.example.com */
  appsUrl: string;
  /** URLs that nobody said anything about ask for a token */
  privateUrls: boolean;
}

/** Host names that lead into sandboxes. `org` is the caller's organisation: what belongs to another is not found. */
export class Urls {
  readonly #db: Database;
  readonly #jobs: Jobs;
  readonly #base: URL;
  readonly #defaultAccess: DoorGuard["access"];

  constructor(db: Database, jobs: Jobs, { appsUrl, privateUrls }: UrlOptions) {
    this.#db = db;
    this.#jobs = jobs;
    this.#base = new URL(appsUrl);
    this.#defaultAccess = privateUrls ? "token" : "public";
  }

  /** Gives a port of a live job its URL; one that has it keeps it. Throws ApiError not_found or conflict. */
  async open(org: string, idOrName: string, door: OpenDoor): Promise<UrlOpened> {
    return this.#db.transaction(async (tx) => {
      const job = await this.#jobs.lock(tx, org, idOrName);
      if (!can("access", job.status))
        throw new ApiError("conflict", `job ${job.id} has ended (${job.status}): there is nothing to reach`);
      const known = await findDoor(tx, org, job.id, door.port);
      if (!known && (await countDoors(tx, org, job.id)) >= doorLimits.portsPerJob)
        throw new ApiError("conflict", `job ${job.id} has ${doorLimits.portsPerJob} open ports already`, "port");
      const { guard, secrets } =
        known && door.access === undefined
          ? { guard: known.guard, secrets: describeGuard(known.guard) }
          : await makeGuard(door.access ?? this.#defaultAccess, door);
      const { port, main } = await putDoor(tx, { org, job: job.id, port: door.port, guard });
      const subdomain = job.subdomain ?? (await this.#nameHost(tx, org, job));
      const label = portLabel(subdomain, port, main);
      return { success: true, port, url: this.urlOf(label), subdomain: label, ...secrets };
    });
  }

  /** Makes an alias, or changes the port and guard of one that is there. Throws ApiError conflict when the name is taken. */
  async createAlias(org: string, alias: CreateUrlAlias): Promise<UrlAlias> {
    if (await this.#jobs.bySubdomain(alias.subdomain)) throw taken(alias.subdomain);
    const { guard, secrets } = await makeGuard(alias.access ?? this.#defaultAccess, alias);
    const { subdomain, workspace_id: workspace } = alias;
    const row = await putAlias(this.#db, { org, subdomain, workspace, port: alias.port ?? null, guard });
    if (!row) throw taken(subdomain);
    return { ...this.#show(row), ...secrets };
  }

  async aliases(org: string): Promise<{ aliases: UrlAlias[]; total: number }> {
    const rows = await listAliases(this.#db, org);
    return { aliases: rows.map((row) => this.#show(row)), total: rows.length };
  }

  /** Throws ApiError not_found. */
  async deleteAlias(org: string, subdomain: string): Promise<void> {
    if (!(await deleteAlias(this.#db, org, subdomain)))
      throw new ApiError("not_found", `there is no URL alias ${JSON.stringify(subdomain.slice(0, 64))}`);
  }

  /** Where a host name leads, or why nowhere. */
  async locate(host: string): Promise<UrlDoor | { missing: string }> {
    const asked = readHost(host, this.#base.hostname);
    const unknown = { missing: "there is no such address" };
    if (!asked) return unknown;
    const { subdomain, port } = asked;
    const job = await this.#jobs.bySubdomain(subdomain);
    if (job) {
      const door = await findDoor(this.#db, job.org, job.id, port);
      return door ? { org: job.org, job: job.id, port: door.port, guard: door.guard } : unknown;
    }
    const alias = await findAlias(this.#db, subdomain);
    return alias ? this.#follow(alias, port) : unknown;
  }

  /** True when a certificate may be asked for this host name. */
  async exists(host: string): Promise<boolean> {
    const asked = readHost(host, this.#base.hostname);
    if (!asked) return false;
    const { subdomain, port } = asked;
    const job = await this.#jobs.bySubdomain(subdomain);
    if (job) return (await findDoor(this.#db, job.org, job.id, port)) !== undefined;
    return (await findAlias(this.#db, subdomain)) !== undefined;
  }

  urlOf(label: string): string {
    const { protocol, host } = this.#base;
    return `${protocol}//${label}.${host}`;
  }

  /** The alias's own port and guard hold where no port is named; another port is let through only as its job opened it. */
  async #follow(alias: AliasRow, named: number | undefined): Promise<UrlDoor | { missing: string }> {
    const job = await this.#jobs.onWorkspace(alias.org, alias.workspace);
    if (!job) return { missing: "no sandbox has the workspace behind this address at the moment" };
    const door = await findDoor(this.#db, alias.org, job.id, named ?? alias.port ?? undefined);
    if (named !== undefined && !door) return { missing: "there is no such address" };
    const guard = named !== undefined && door ? door.guard : alias.guard;
    return { org: alias.org, job: job.id, port: named ?? alias.port ?? door?.port ?? DEFAULT_PORT, guard };
  }

  #nameHost(tx: Queryable, org: string, job: { id: string; name: string }): Promise<string> {
    return this.#jobs.nameHost(tx, org, job.id, newSubdomain(job.name, randomBytes(16)));
  }

  #show(row: AliasRow): UrlAlias {
    return {
      id: row.id,
      subdomain: row.subdomain,
      url: this.urlOf(row.subdomain),
      workspace_id: row.workspace,
      port: row.port,
      created_at: row.created_at.toISOString(),
      ...describeGuard(row.guard),
    };
  }
}

const taken = (subdomain: string) =>
  new ApiError("conflict", `the subdomain ${subdomain} already exists: choose another, or delete it`, "subdomain");
