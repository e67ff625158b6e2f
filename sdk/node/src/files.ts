import { MagsError } from "./errors.ts";
import { type CallSettings, callJson, type HttpOptions } from "./http.ts";
import type { FileList, UploadedFile } from "./wire.ts";

/** Time for one file with its retries, `seconds`: a large one takes as long as the line needs */
const UPLOAD_SECONDS = 3600;

/** A path (Node, Bun, Deno), a browser's File, or bytes with a name. */
export type Upload = string | File | { name: string; data: Blob | Uint8Array<ArrayBuffer> | string };

/** Files that jobs are given. All calls throw MagsError. */
export class FilesClient {
  readonly #http: HttpOptions;

  constructor(http: HttpOptions) {
    this.#http = http;
  }

  /** Uploads files one after the other and answers what the server keeps of each, in the same order. */
  async upload(uploads: readonly Upload[], options: CallSettings & { timeout?: number } = {}): Promise<UploadedFile[]> {
    const kept: UploadedFile[] = [];
    for (const upload of uploads) {
      const form = new FormData();
      const { name, data } = await open(upload);
      form.append("file", data, name);
      const { signal, timeout = UPLOAD_SECONDS } = options;
      kept.push(await callJson<UploadedFile>(this.#http, "POST", "/mags-files", { form, signal, timeout }));
    }
    return kept;
  }

  /** Newest first. */
  list(options: { page?: number; pageSize?: number } & CallSettings = {}): Promise<FileList> {
    const { page = 1, pageSize = 50, signal } = options;
    return callJson(this.#http, "GET", `/mags-files?page=${page}&page_size=${pageSize}`, { signal });
  }

  async delete(id: string, options: CallSettings = {}): Promise<void> {
    await callJson(this.#http, "DELETE", `/mags-files/${encodeURIComponent(id)}`, options);
  }
}

/** The content is read while it is sent, so that a large file needs no memory. */
async function open(upload: Upload): Promise<{ name: string; data: Blob }> {
  if (typeof upload === "string") {
    return { name: upload.replace(/^.*[\\/]/, ""), data: await openPath(upload) };
  }
  if (upload instanceof Blob) return { name: upload.name, data: upload };
  const { name, data } = upload;
  return { name, data: data instanceof Blob ? data : new Blob([data]) };
}

async function openPath(path: string): Promise<Blob> {
  const { openAsBlob, promises } = await import("node:fs");
  try {
    if (!(await promises.stat(path)).isFile()) throw new Error("it is no regular file");
    // Node 18 has no such blob yet.
    return openAsBlob ? await openAsBlob(path) : new Blob([new Uint8Array(await promises.readFile(path))]);
  } catch (cause) {
    throw new MagsError(`${path} cannot be uploaded: ${(cause as Error).message}`, { cause, code: "unreadable_file" });
  }
}
