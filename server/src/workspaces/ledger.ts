import { randomUUID } from "node:crypto";
import {
  ApiError,
  type ChunksClaimed,
  type ClaimChunks,
  type CommitVersion,
  type ReportWorkspaces,
  type VersionCommitted,
  type VersionRef,
  type WorkspacesReported,
} from "@mags/protocol";
import type { z } from "zod";
import type { Database, Queryable } from "../db/database.ts";
import type { Events } from "../db/events.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Nodes } from "../nodes/service.ts";
import { claimChunks, holdCollection, lockChunks, markStored, touchChunks } from "./chunks-store.ts";
import { condemnStrays } from "./collection-store.ts";
import { type ManifestFacts, readManifestFile } from "./manifest.ts";
import type { Quota } from "./quota.ts";
import { findVersion, insertManifest, insertVersion, readManifest, type VersionRow } from "./versions-store.ts";
import { findWorkspaceById, noteAbsent, noteCommit, noteProgress, type WorkspaceRow } from "./workspaces-store.ts";

/** After these the writer writes no more, so nothing is left that is not durable. */
const LAST_WORDS = ["completion", "sleep", "stop"];

/** The side of the workspaces that nodes see: which chunks there are, and which version is the latest. */
export class Ledger {
  readonly #db: Database;
  readonly #events: Events;
  readonly #nodes: Nodes;
  readonly #quota: Quota;
  readonly #metrics: Metrics;

  constructor(db: Database, events: Events, nodes: Nodes, quota: Quota, metrics: Metrics) {
    this.#db = db;
    this.#events = events;
    this.#nodes = nodes;
    this.#quota = quota;
    this.#metrics = metrics;
  }

  /** Throws ApiError conflict when the node must register again. */
  async claim({ node, boot_id, org, chunks }: z.infer<typeof ClaimChunks>): Promise<z.infer<typeof ChunksClaimed>> {
    await this.#nodes.alive(node, boot_id);
    return this.#db.transaction(async (tx) => ({
      chunks: await claimChunks(tx, org, await holdCollection(tx, org), chunks),
    }));
  }

  /**
   * Makes an uploaded version the latest. Throws ApiError conflict for a writer that has lost the workspace or does not know
   * its latest version, chunks_gone when something it refers to is not in the store, quota_exceeded.
   */
  async commit(request: CommitVersion): Promise<z.infer<typeof VersionCommitted>> {
    await this.#nodes.alive(request.node, request.boot_id);
    const file = Buffer.from(request.manifest, "base64");
    const manifest = readManifestFile(file, request.manifest_name);
    const done = await this.#db
      .transaction((tx) => this.#commit(tx, request, file, manifest))
      .catch(async (error) => {
        if (error instanceof ApiError && error.code === "chunks_gone")
          await this.#db.transaction((tx) => condemnStrays(tx, request.org, request.stored));
        throw error;
      });
    this.#events.emit("work");
    if (done.fresh) {
      this.#metrics.syncs.observe(request.sync_ms / 1000);
      this.#metrics.syncedBytes.inc(done.version.new_bytes);
    }
    return { version: toRef(done.version), durable_at: done.durableAt.toISOString() };
  }

  /** Throws ApiError conflict when the node must register again. */
  async progress({ node, boot_id, all, workspaces }: ReportWorkspaces): Promise<WorkspacesReported> {
    await this.#nodes.alive(node, boot_id);
    const payload = this.#events.payload("work");
    const { lost, raised, freed, failed } = await this.#db.transaction((tx) =>
      noteProgress(tx, payload, node, workspaces),
    );
    const ids = workspaces.map(({ id }) => id);
    const absent = all && (await noteAbsent(this.#db, payload, node, ids));
    if (freed || absent) this.#events.emit("work");
    this.#metrics.syncFailures.inc(failed);
    return { lost, raised };
  }

  async #commit(tx: Queryable, request: CommitVersion, file: Buffer, { volumeBytes, chunks }: ManifestFacts) {
    // Before any row: a collection that waits for us must not hold what we need.
    await holdCollection(tx, request.org);
    const workspace = await this.#fenced(tx, request);
    const latest = workspace.latest ? await findVersion(tx, request.org, workspace.latest) : undefined;
    if (latest && latest.manifest === request.manifest_name && latest.parent === request.parent)
      return { version: latest, durableAt: workspace.durable_at ?? latest.created_at, fresh: false };
    await this.#takeChunks(tx, request, chunks, latest);
    return { ...(await this.#append(tx, request, { file, volumeBytes, latest })), fresh: true };
  }

  async #fenced(tx: Queryable, { org, workspace: id, fence, node }: CommitVersion): Promise<WorkspaceRow> {
    const workspace = await findWorkspaceById(tx, org, id, "write");
    if (!workspace) throw new ApiError("conflict", `there is no workspace ${id}: it was deleted`, "workspace");
    if (workspace.fence !== fence || workspace.node !== node)
      throw new ApiError(
        "conflict",
        `workspace ${workspace.name} has another writer: fence ${fence} of node ${node} is over, the current one is ${workspace.fence} of ${workspace.node}`,
        "fence",
      );
    return workspace;
  }

  /** What the parent has is safe as long as the parent is; everything else must be there, and stays because we touch it. */
  async #takeChunks(
    tx: Queryable,
    { org, parent, manifest_name: name, stored }: CommitVersion,
    chunks: Map<string, number>,
    latest: VersionRow | undefined,
  ): Promise<void> {
    if (latest && latest.id !== parent)
      throw new ApiError("conflict", `parent is not the latest version, which is ${latest.number}`, "parent");
    const known = parent ? await this.#chunksOf(tx, org, parent) : new Map<string, number>();
    const [hash = "", epoch] = name.split(".");
    const needed = [...chunks, [hash, Number(epoch)] as const]
      .filter(([each, of]) => known.get(each) !== of)
      .map(([each, of]) => ({ hash: each, epoch: of }));
    const locked = await lockChunks(tx, org, needed);
    const there = new Set(locked.map((chunk) => chunk.hash));
    const uploaded = new Set(stored.map((chunk) => chunk.hash));
    const gone = needed.filter((chunk) => !there.has(chunk.hash));
    const never = locked.filter((chunk) => !chunk.stored && !uploaded.has(chunk.hash));
    if (gone.length + never.length > 0)
      throw new ApiError(
        "chunks_gone",
        `${gone.length + never.length} of ${needed.length} chunks are not in the store, such as ${gone[0]?.hash ?? never[0]?.hash}`,
      );
    await markStored(
      tx,
      org,
      stored.filter((chunk) => there.has(chunk.hash)),
      hash,
    );
    await touchChunks(tx, org, [...there]);
  }

  /** Empty for a version that has been deleted meanwhile: then nothing of it is taken for granted. */
  async #chunksOf(tx: Queryable, org: string, version: string): Promise<Map<string, number>> {
    const row = await findVersion(tx, org, version, "use");
    const file = row && (await readManifest(tx, org, row.manifest));
    return row && file ? readManifestFile(file, row.manifest).chunks : new Map();
  }

  async #append(
    tx: Queryable,
    request: CommitVersion,
    { file, volumeBytes, latest }: { file: Buffer; volumeBytes: number; latest: VersionRow | undefined },
  ): Promise<{ version: VersionRow; durableAt: Date }> {
    const { org, workspace, parent, reason, job, manifest_name: manifest, content_bytes, stored, sync_ms } = request;
    const new_bytes = stored.reduce((sum, chunk) => sum + chunk.stored_bytes, 0);
    await this.#quota.refuseBytes(tx, org, new_bytes);
    await insertManifest(tx, org, manifest, file);
    const version = {
      id: randomUUID(),
      workspace,
      number: (latest?.number ?? 0) + 1,
      parent,
      manifest,
      volume_bytes: volumeBytes,
      content_bytes,
      new_bytes,
      reason,
      job,
    };
    await insertVersion(tx, org, version);
    const clean = LAST_WORDS.includes(reason);
    const durableAt = await noteCommit(tx, this.#events.payload("work"), workspace, { syncMs: sync_ms, clean });
    return { version: { ...version, created_at: durableAt }, durableAt };
  }
}

export const toRef = ({ id, number, manifest, volume_bytes }: VersionRow): VersionRef => ({
  id,
  number,
  manifest,
  volume_bytes,
});
