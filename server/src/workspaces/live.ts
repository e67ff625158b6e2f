import { Readable } from "node:stream";
import {
  ApiError,
  DEFAULT_IMAGE,
  type ExportFormat,
  type ImportVersion,
  Synced,
  type SyncResult,
  VersionImported,
  type VersionRef,
  VersionsDiffer,
  VersionVerified,
} from "@mags/protocol";
import type { Database } from "../db/database.ts";
import { refusal } from "../nodes/refusal.ts";
import type { Nodes } from "../nodes/service.ts";
import { toRef } from "./ledger.ts";
import { findVersion, type VersionRow } from "./versions-store.ts";
import { findWorkspaceById, setDisk, type WorkspaceRow } from "./workspaces-store.ts";

/** Clients give a call up after 30 s: a sync that takes longer goes on without them, `ms`. */
const SYNC_PATIENCE_MS = 25_000;
const RESIZE_DEADLINE_MS = 20_000;

/** What only the agent that has a workspace, or any agent that can read the object store, can do. */
export class LiveWorkspaces {
  readonly #db: Database;
  readonly #nodes: Nodes;

  constructor(db: Database, nodes: Nodes) {
    this.#db = db;
    this.#nodes = nodes;
  }

  /**
   * Answers when all that was written before is in the object store, or, with `synced: false`, that it takes longer. Throws
   * ApiError unavailable saying what is not durable, not_found for a workspace that has gone.
   */
  async sync(org: string, id: string, signal: AbortSignal): Promise<SyncResult> {
    const workspace = await this.#find(org, id);
    if (workspace.holder_job && workspace.node) {
      const done = await this.#syncWriter(workspace, workspace.node, workspace.holder_job, signal);
      if (done) return done;
    }
    return this.#settled(org, id);
  }

  /** Grows the disk, also while its machine is up. Throws ApiError invalid_request for a smaller size. */
  async resize(org: string, workspace: WorkspaceRow, diskGb: number): Promise<void> {
    if (diskGb < workspace.disk_gb)
      throw new ApiError(
        "invalid_request",
        `disk_gb must be at least ${workspace.disk_gb}, the present size: a disk can only grow`,
        "disk_gb",
      );
    if (workspace.holder_job && workspace.node) {
      const init = { ...json({ disk_gb: diskGb }), signal: AbortSignal.timeout(RESIZE_DEADLINE_MS) };
      const response = await this.#ask(workspace.node, `workspaces/${workspace.id}/resize`, init);
      if (!response.ok && response.status !== 404) throw await refusal(workspace.node, response);
      await response.body?.cancel();
    }
    await setDisk(this.#db, org, workspace.id, diskGb);
  }

  /** A restore drill of a version, on the node that has the workspace or any other. */
  async verify(org: string, node: string | null, version: VersionRow, signal: AbortSignal): Promise<VersionVerified> {
    const on = await this.anyNode(node);
    const response = await this.#ask(on, "versions/verify", { ...json({ org, version: toRef(version) }), signal });
    if (!response.ok) throw await refusal(on, response);
    return VersionVerified.parse(await response.json());
  }

  /** What is different between a version and an earlier one, or the image; any node can tell. */
  async diff(
    org: string,
    { node, image }: Pick<WorkspaceRow, "node" | "image">,
    { from, to }: { from: VersionRow | undefined; to: VersionRow },
    signal: AbortSignal,
  ): Promise<VersionsDiffer> {
    const on = await this.anyNode(node);
    const body = { org, image: image ?? DEFAULT_IMAGE, from: from ? toRef(from) : null, to: toRef(to) };
    const response = await this.#ask(on, "versions/diff", { ...json(body), signal });
    if (!response.ok) throw await refusal(on, response);
    return VersionsDiffer.parse(await response.json());
  }

  /** The bytes of a version; the stream fails where something goes wrong on the way. */
  async export(
    org: string,
    { name, node, image }: Pick<WorkspaceRow, "name" | "node" | "image">,
    version: VersionRow,
    format: ExportFormat,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    const on = await this.anyNode(node);
    const body = { org, name, image: image ?? DEFAULT_IMAGE, version: toRef(version), format };
    const response = await this.#ask(on, "versions/export", { ...json(body), signal });
    if (!response.ok || !response.body) throw await refusal(on, response);
    return response.body;
  }

  /** Has `node` make the first version of a workspace of an export. Throws ApiError invalid_request for what is none. */
  async import(node: string, wanted: ImportVersion, body: Readable, signal: AbortSignal): Promise<VersionRef> {
    const given = Object.entries(wanted).filter(([, value]) => value !== undefined);
    const query = new URLSearchParams(given.map(([key, value]): [string, string] => [key, String(value)]));
    const response = await this.#ask(node, `versions/import?${query}`, {
      method: "POST",
      headers: { "content-type": "application/octet-stream" },
      body: Readable.toWeb(body) as ReadableStream<Uint8Array>,
      duplex: "half",
      signal,
    } as RequestInit);
    if (!response.ok) throw await refusal(node, response);
    return VersionImported.parse(await response.json()).version;
  }

  /** A node that can do work on versions, the preferred one if it can. Throws ApiError unavailable. */
  async anyNode(preferred: string | null): Promise<string> {
    const ready = await this.#nodes.ready();
    const node = ready.find(({ name }) => name === preferred) ?? ready[0];
    if (!node) throw new ApiError("unavailable", "no node has reported in the last 15 seconds");
    return node.name;
  }

  /** Undefined when no machine is up. */
  async #syncWriter(
    { name, anonymous }: WorkspaceRow,
    node: string,
    job: string,
    signal: AbortSignal,
  ): Promise<SyncResult | undefined> {
    const patience = AbortSignal.timeout(SYNC_PATIENCE_MS);
    const workspace_id = anonymous ? null : name;
    try {
      const init = { method: "POST", signal: AbortSignal.any([signal, patience]) };
      const response = await this.#ask(node, `jobs/${job}/sync`, init);
      if (response.status === 404) return void (await response.body?.cancel());
      if (!response.ok) throw await refusal(node, response);
      const { version, durable_at, sync_ms, new_bytes } = Synced.parse(await response.json());
      const message = `everything up to ${durable_at} is durable`;
      return { workspace_id, synced: true, version: version?.number ?? null, durable_at, sync_ms, new_bytes, message };
    } catch (error) {
      if (!patience.aborted) throw error;
      const message = `the sync takes longer than ${SYNC_PATIENCE_MS / 1000} s and goes on; ask again, or look at the recovery point`;
      return {
        workspace_id,
        synced: false,
        version: null,
        durable_at: null,
        sync_ms: SYNC_PATIENCE_MS,
        new_bytes: 0,
        message,
      };
    }
  }

  /** Nobody writes: either the latest version holds everything, or what it lacks is told. */
  async #settled(org: string, id: string): Promise<SyncResult> {
    const { name, anonymous, dirty, node, last_error, latest, durable_at } = await this.#find(org, id);
    if (dirty)
      throw new ApiError(
        "unavailable",
        `node ${node} has changes of workspace ${JSON.stringify(name)} that are not durable yet${last_error ? `: ${last_error}` : ""}`,
      );
    const version = latest ? await findVersion(this.#db, org, latest) : undefined;
    return {
      workspace_id: anonymous ? null : name,
      synced: true,
      version: version?.number ?? null,
      durable_at: durable_at?.toISOString() ?? null,
      sync_ms: 0,
      new_bytes: 0,
      message: "nothing has changed since the latest version",
    };
  }

  async #find(org: string, id: string): Promise<WorkspaceRow> {
    const row = await findWorkspaceById(this.#db, org, id);
    if (!row) throw new ApiError("not_found", "the workspace was deleted");
    return row;
  }

  async #ask(node: string, path: string, init: RequestInit): Promise<Response> {
    try {
      return await this.#nodes.agentFetch(node, `/agent/v1/${path}`, init);
    } catch (error) {
      if (error instanceof ApiError || init.signal?.aborted) throw error;
      throw new ApiError("unavailable", `node ${node} cannot be reached: ${(error as Error).message}`);
    }
  }
}

const json = (body: object): RequestInit => ({
  method: "POST",
  body: JSON.stringify(body),
  headers: { "content-type": "application/json" },
});
