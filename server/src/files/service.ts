import { randomUUID } from "node:crypto";
import type { Logger } from "@mags/kit";
import { ApiError, type FileList, fileKey, filePartKey, type StoredFile, type UploadedFile } from "@mags/protocol";
import type { ObjectStore } from "@mags/storage";
import type { Database, Queryable } from "../db/database.ts";
import { refuseFiles } from "./decide.ts";
import { PART_BYTES, receive } from "./receive.ts";
import {
  abandonFile,
  condemnExpired,
  condemnFile,
  type FileRow,
  findFile,
  forgetFile,
  growFile,
  insertFile,
  listFiles,
  storeFile,
  totalBytes,
  useFiles,
} from "./store.ts";

/** An upload that stores nothing for so long is taken for dead, `s`. */
const IDLE_SECONDS = 900;
const SWEEP_BATCH = 100;

export interface FileLimits {
  /** largest file, `bytes` */
  maxBytes: number;
  /** of all files of one organisation together, `bytes` */
  quotaBytes: number;
  /** how long a file is kept after its upload and after each use, `s` */
  keepSeconds: number;
}

/** Files that users upload and jobs are given. Bytes lie in the object store, cut into parts; the row says what is whole. */
export class Files {
  readonly #db: Database;
  readonly #objects: ObjectStore;
  readonly #limits: FileLimits;
  readonly #logger: Logger;

  constructor(db: Database, objects: ObjectStore, limits: FileLimits, logger: Logger) {
    this.#db = db;
    this.#objects = objects;
    this.#limits = limits;
    this.#logger = logger;
  }

  /** Throws ApiError too_large or quota_exceeded for an upload that says beforehand that it cannot be kept. */
  async refuseAnnounced(org: string, bytes: number): Promise<void> {
    this.#refuseSize(bytes);
    this.#refuseTotal((await totalBytes(this.#db, org)) + bytes);
  }

  /**
   * Takes a file in; it is there, whole, when this resolves. `complete` is awaited before that: it fails where the
   * request turns out to be cut. Throws ApiError too_large or quota_exceeded; after any failure nothing of it is kept.
   */
  async upload(
    org: string,
    name: string,
    stream: AsyncIterable<Buffer>,
    complete: () => Promise<void>,
  ): Promise<UploadedFile> {
    const id = randomUUID();
    await insertFile(this.#db, org, id, name, IDLE_SECONDS);
    try {
      const { bytes, sha256 } = await receive(stream, async (part, body, soFar) => {
        this.#refuseSize(soFar);
        const total = await growFile(this.#db, org, id, soFar, IDLE_SECONDS);
        if (total === undefined) throw new ApiError("unavailable", "the upload took too long and was given up");
        this.#refuseTotal(total);
        await this.#objects.put(filePartKey(org, id, part), body);
      });
      await complete();
      const stored: StoredFile = { format: 1, name, bytes, sha256, part_bytes: PART_BYTES };
      await this.#objects.put(fileKey(org, id), Buffer.from(JSON.stringify(stored)));
      const row = await storeFile(this.#db, org, id, { bytes, sha256 }, this.#limits.keepSeconds);
      if (!row) throw new ApiError("unavailable", "the upload took too long and was given up");
      return toFile(row);
    } catch (error) {
      await this.#discard(org, id).catch((err) =>
        this.#logger.warn({ err: err.message, id }, "an upload is left over"),
      );
      throw error;
    }
  }

  async list(org: string, page: number, pageSize: number): Promise<FileList> {
    const { files, total, totalBytes } = await listFiles(this.#db, org, pageSize, (page - 1) * pageSize);
    return { files: files.map(toFile), total, total_bytes: totalBytes, page, page_size: pageSize };
  }

  /** Throws ApiError not_found. */
  async find(org: string, id: string): Promise<UploadedFile> {
    const row = await findFile(this.#db, org, id);
    if (!row) throw missing(id);
    return toFile(row);
  }

  /** Throws ApiError not_found, or conflict while a job waits that names it. */
  async remove(org: string, id: string): Promise<void> {
    await this.#db.transaction(async (tx) => {
      const answer = await condemnFile(tx, org, id);
      if (answer === undefined) throw missing(id);
      if (answer === "wanted")
        throw new ApiError("conflict", `file ${id} is needed by a job that has not started yet: stop that job first`);
    });
    await this.#removeCondemned(org, id);
  }

  /** Keeps files for a job that is made in the same transaction. Throws ApiError invalid_request when it cannot have them. */
  async use(tx: Queryable, org: string, ids: string[]): Promise<void> {
    if (ids.length === 0) return;
    const problem = refuseFiles(ids, await useFiles(tx, org, ids, this.#limits.keepSeconds));
    if (problem) throw new ApiError("invalid_request", `file_ids ${problem}`, "file_ids");
  }

  /** Removes what has expired and what crashes have left. Any number of servers may do so at a time. */
  async sweep(signal: AbortSignal): Promise<void> {
    for (const { org, id } of await this.#db.transaction((tx) => condemnExpired(tx, SWEEP_BATCH))) {
      if (signal.aborted) return;
      await this.#removeCondemned(org, id);
    }
  }

  async #discard(org: string, id: string): Promise<void> {
    await abandonFile(this.#db, org, id);
    await this.#removeCondemned(org, id);
  }

  /** Objects first: as long as the row is there, the next sweep goes on. */
  async #removeCondemned(org: string, id: string): Promise<void> {
    const keys: string[] = [];
    for await (const { key } of this.#objects.list(fileKey(org, id))) keys.push(key);
    await this.#objects.delete(keys);
    await forgetFile(this.#db, org, id);
  }

  #refuseSize(bytes: number): void {
    if (bytes > this.#limits.maxBytes)
      throw new ApiError("too_large", `the file is larger than ${this.#limits.maxBytes} bytes`, "file");
  }

  #refuseTotal(bytes: number): void {
    if (bytes > this.#limits.quotaBytes)
      throw new ApiError(
        "quota_exceeded",
        `the organisation's files would have more than ${this.#limits.quotaBytes} bytes together: delete some`,
        "file",
      );
  }
}

const missing = (id: string) => new ApiError("not_found", `there is no file ${id}`);

const toFile = (row: FileRow): UploadedFile => ({
  file_id: row.id,
  name: row.name,
  bytes: row.bytes,
  sha256: row.sha256 ?? "",
  created_at: row.created_at.toISOString(),
  used_at: row.used_at?.toISOString() ?? null,
  expires_at: row.expires_at.toISOString(),
});
