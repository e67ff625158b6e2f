import { randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import { ApiError, type ImportVersion, WorkspaceName } from "@mags/protocol";
import type { Database } from "../db/database.ts";
import type { LiveWorkspaces } from "./live.ts";
import type { Quota } from "./quota.ts";
import { deleteWorkspace, findWorkspace, insertWorkspace, publish, reserve } from "./workspaces-store.ts";

/**
 * Workspaces made of exports. One is without a name until all of it is durable, so nobody sees half of it; what a killed
 * server has left of one is removed by a collection.
 */
export class Imports {
  readonly #db: Database;
  readonly #quota: Quota;
  readonly #live: LiveWorkspaces;

  constructor(db: Database, quota: Quota, live: LiveWorkspaces) {
    this.#db = db;
    this.#quota = quota;
    this.#live = live;
  }

  /** Throws ApiError conflict where the name is taken, quota_exceeded, invalid_request for what is no export, unavailable. */
  async run(
    org: string,
    name: string,
    wanted: Pick<ImportVersion, "format" | "disk_gb" | "sha256">,
    body: Readable,
    signal: AbortSignal,
  ): Promise<void> {
    const named = WorkspaceName.safeParse(name);
    if (!named.success) throw new ApiError("invalid_request", `id ${named.error.issues[0]?.message}`, "id");
    const id = randomUUID();
    const node = await this.#live.anyNode(null);
    const fence = await this.#db.transaction(async (tx) => {
      if (await findWorkspace(tx, org, name)) throw taken(name);
      await this.#quota.refuseWorkspace(tx, org);
      await this.#quota.refuseBytes(tx, org, 0);
      await insertWorkspace(tx, { id, org, name: id, anonymous: true, image: null, disk_gb: wanted.disk_gb });
      return reserve(tx, org, id, node);
    });
    try {
      const { volume_bytes } = await this.#live.import(node, { ...wanted, org, workspace: id, fence }, body, signal);
      await this.#db.transaction(async (tx) => {
        await this.#quota.refuseWorkspace(tx, org);
        const disk_gb = wanted.format === "ext4" ? volume_bytes / 2 ** 30 : wanted.disk_gb;
        if (!(await publish(tx, org, id, { name, disk_gb }))) throw taken(name);
      });
    } catch (error) {
      await deleteWorkspace(this.#db, org, id);
      throw error;
    }
  }
}

const taken = (name: string) =>
  new ApiError(
    "conflict",
    `workspace ${JSON.stringify(name)} already exists: an export becomes a workspace of its own`,
    "id",
  );
