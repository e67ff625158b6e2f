import { MagsError } from "./errors.ts";
import { type CallSettings, callJson, callRaw, type HttpOptions, pause } from "./http.ts";
import type {
  DirectoryListing,
  FileEntry,
  SyncResult,
  VersionList,
  VersionVerified,
  Workspace,
  WorkspaceDeleted,
  WorkspaceDiff,
  WorkspaceList,
  WorkspaceVersion,
} from "./wire.ts";

/** A drill fetches all of a version, `seconds` */
const VERIFY_SECONDS = 3600;
/** A machine may have to start for it, `seconds` */
const FILES_SECONDS = 90;
/** Versions may have to be fetched first, `seconds` */
const DIFF_SECONDS = 600;
/** The server answers a sync within 25 s, done or not, `seconds` */
const SYNC_SECONDS = 40;
const SYNC_PAUSE_MS = 500;

export interface VersionChoice extends CallSettings {
  /** number of a version; the latest by default */
  version?: number | undefined;
}

export interface Force extends CallSettings {
  /** also while jobs use it: they are stopped, and what they have not made durable is lost */
  force?: boolean | undefined;
}

export interface ImportOptions extends CallSettings {
  /** directory in the workspace, the root by default */
  path?: string | undefined;
  /** the content is an export of this format */
  format?: "tar" | "ext4" | "oci" | undefined;
  /** size of the new disk, 2 by default; a raw disk keeps its own, `GiB` */
  diskGb?: number | undefined;
  /** of an export: content of another one is refused */
  sha256?: string | undefined;
}

/** Disks that are kept, with their versions. `id` is the name of a workspace. All calls throw MagsError. */
export class WorkspacesClient {
  readonly #http: HttpOptions;

  constructor(http: HttpOptions) {
    this.#http = http;
  }

  /** By name. */
  list(
    options: { page?: number | undefined; pageSize?: number | undefined } & CallSettings = {},
  ): Promise<WorkspaceList> {
    const { page = 1, pageSize = 1000, signal } = options;
    return callJson(this.#http, "GET", `/mags-workspaces?page=${page}&page_size=${pageSize}`, { signal });
  }

  get(id: string, options: CallSettings = {}): Promise<Workspace> {
    return callJson(this.#http, "GET", path(id), options);
  }

  /** With all its versions. */
  delete(id: string, { force, signal }: Force = {}): Promise<WorkspaceDeleted> {
    return callJson(this.#http, "DELETE", `${path(id)}${force ? "?force=1" : ""}`, { signal });
  }

  /** Makes the workspace `to` from a version, in milliseconds at any size. */
  fork(id: string, to: string, { version, signal }: VersionChoice = {}): Promise<Workspace> {
    return callJson(this.#http, "POST", `${path(id)}/fork`, { body: { workspace_id: to, version }, signal });
  }

  /** Newest first. */
  versions(id: string, options: CallSettings = {}): Promise<VersionList> {
    return callJson(this.#http, "GET", `${path(id)}/versions`, options);
  }

  /** Makes a new version with the content of `version`. */
  rollBack(id: string, version: number, { force, signal }: Force = {}): Promise<WorkspaceVersion> {
    return callJson(this.#http, "POST", `${path(id)}/rollback`, { body: { version, force }, signal });
  }

  async deleteVersion(id: string, version: number, options: CallSettings = {}): Promise<void> {
    await callJson(this.#http, "DELETE", `${path(id)}/versions/${version}`, options);
  }

  /** A disk can only grow; it may be in use. */
  resize(id: string, diskGb: number, options: CallSettings = {}): Promise<Workspace> {
    return callJson(this.#http, "POST", `${path(id)}/resize`, { body: { disk_gb: diskGb }, ...options });
  }

  /** Resolves when everything written before is in the object store, however long that takes. */
  sync(id: string, options: CallSettings = {}): Promise<SyncResult> {
    return syncUntilDone(this.#http, `${path(id)}/sync`, options);
  }

  /** Restores a version into a scratch disk and checks all of it. */
  verify(id: string, { version, signal }: VersionChoice = {}): Promise<VersionVerified> {
    return callJson(this.#http, "POST", `${path(id)}/verify`, { body: { version }, signal, timeout: VERIFY_SECONDS });
  }

  /** Which files a version changed: beside what it was made from, or `from`, a workspace or one version of it (`name@3`). */
  diff(
    id: string,
    { version, from, signal }: { from?: string | undefined } & VersionChoice = {},
  ): Promise<WorkspaceDiff> {
    const given = Object.entries({ version, from }).filter(([, value]) => value !== undefined);
    const query = new URLSearchParams(given.map(([key, value]): [string, string] => [key, String(value)]));
    return callJson(this.#http, "GET", `${path(id)}/diff?${query}`, { signal, timeout: DIFF_SECONDS });
  }

  /** The bytes of a version; the stream fails when it is cut off. */
  async export(
    id: string,
    { format = "tar", version, signal }: { format?: "tar" | "ext4" | "oci" | undefined } & VersionChoice = {},
  ): Promise<AsyncIterable<Uint8Array>> {
    const query = `?format=${format}${version === undefined ? "" : `&version=${version}`}`;
    const { body } = await callRaw(this.#http, "GET", `${path(id)}/export${query}`, { signal });
    return body as unknown as AsyncIterable<Uint8Array>;
  }

  /**
   * Unpacks a tar into a workspace, made where there is none yet; resolves when that is durable. With `format` the content is
   * an export, of which a new workspace is made.
   */
  async import(
    id: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    { path: to = "/", format, diskGb, sha256, signal }: ImportOptions = {},
  ): Promise<void> {
    const place = format === undefined ? { create: "1", path: to } : { format };
    const given = Object.entries({ ...place, disk_gb: diskGb, sha256 }).filter(([, value]) => value !== undefined);
    const query = new URLSearchParams(given.map(([key, value]): [string, string] => [key, String(value)]));
    await callRaw(this.#http, "POST", `${path(id)}/import?${query}`, { body: content, signal });
  }

  /** A file, from the machine that is up, else from the latest version or `version`. */
  async readFile(id: string, file: string, { version, signal }: VersionChoice = {}): Promise<Uint8Array> {
    const query = `?path=${encodeURIComponent(file)}${version === undefined ? "" : `&version=${version}`}`;
    const response = await callRaw(this.#http, "GET", `${path(id)}/files${query}`, { signal });
    return new Uint8Array(await response.arrayBuffer());
  }

  /** The entries of a directory, of the machine that is up, else of the latest version or `version`. */
  async listFiles(id: string, directory: string, { version, signal }: VersionChoice = {}): Promise<FileEntry[]> {
    const query = `?path=${encodeURIComponent(directory)}${version === undefined ? "" : `&version=${version}`}`;
    const options = { signal, timeout: FILES_SECONDS };
    return (await callJson<DirectoryListing>(this.#http, "GET", `${path(id)}/files/list${query}`, options)).entries;
  }

  /** Replaces a file, and makes missing directories above it; resolves when that is durable. */
  async writeFile(
    id: string,
    file: string,
    content: string | Uint8Array,
    { signal }: CallSettings = {},
  ): Promise<void> {
    const query = `?path=${encodeURIComponent(file)}&parents=1`;
    await callRaw(this.#http, "PUT", `${path(id)}/files${query}`, { body: content, signal });
  }
}

/** Asks for a sync as often as it takes. A failed one is told at once: what is not durable then is for the caller to know. */
export async function syncUntilDone(http: HttpOptions, path: string, { signal }: CallSettings): Promise<SyncResult> {
  for (;;) {
    const result = await callJson<SyncResult>(http, "POST", path, { signal, timeout: SYNC_SECONDS, once: true });
    if (result.synced) return result;
    await pause(SYNC_PAUSE_MS, signal);
    if (signal?.aborted) throw new MagsError("the call was aborted", { code: "aborted" });
  }
}

const path = (id: string) => `/mags-workspaces/${encodeURIComponent(id)}`;
