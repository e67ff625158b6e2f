import { MagsError } from "./errors.ts";
import { type CallSettings, callJson, callRaw, type HttpOptions } from "./http.ts";
import { parseEvents } from "./sse.ts";
import type { DirectoryListing, FileEntry } from "./wire.ts";

/** What a file may be made of; streams may have any size. */
export type Content = string | Uint8Array | AsyncIterable<Uint8Array>;

export interface FileSettings extends CallSettings {
  /** whose rights count: name, or numbers as `uid` or `uid:gid`; root by default */
  user?: string;
}

export interface FileChange {
  change: "created" | "modified" | "deleted";
  /** below the watched directory; empty for itself */
  path: string;
  type: FileEntry["type"];
}

/** The files of a live machine. Relative paths begin at the user's home. All calls throw MagsError. */
export class MachineFiles {
  readonly #http: HttpOptions;
  readonly #base: string;

  constructor(http: HttpOptions, id: string) {
    this.#http = http;
    this.#base = `/mags-jobs/${encodeURIComponent(id)}/files`;
  }

  async read(path: string, settings: FileSettings = {}): Promise<Uint8Array> {
    const response = await callRaw(this.#http, "GET", this.#path("", path, settings), settings);
    return new Uint8Array(await response.arrayBuffer());
  }

  /** A file of any size, piece by piece. A stream that throws has been cut. */
  readStream(path: string, settings: FileSettings = {}): Promise<AsyncIterable<Uint8Array>> {
    return this.#stream("", path, settings);
  }

  /** Replaces the file in one step at the end of the content, or leaves it as it was. `mode` is octal, such as `755`. */
  async write(
    path: string,
    content: Content,
    settings: FileSettings & { mode?: string; parents?: boolean } = {},
  ): Promise<void> {
    const { mode, parents } = settings;
    const more = { ...(mode === undefined ? {} : { mode }), ...(parents ? { parents: "1" } : {}) };
    await this.#send("PUT", "", path, settings, more, content);
  }

  async remove(path: string, settings: FileSettings & { recursive?: boolean } = {}): Promise<void> {
    await this.#send("DELETE", "", path, settings, settings.recursive ? { recursive: "1" } : {});
  }

  async list(path: string, settings: FileSettings = {}): Promise<FileEntry[]> {
    const url = this.#path("/list", path, settings);
    return (await callJson<DirectoryListing>(this.#http, "GET", url, { signal: settings.signal })).entries;
  }

  /** What is known of a file, or of a symlink itself. */
  stat(path: string, settings: FileSettings = {}): Promise<FileEntry> {
    return callJson(this.#http, "GET", this.#path("/stat", path, settings), { signal: settings.signal });
  }

  async makeDirectory(path: string, settings: FileSettings & { parents?: boolean } = {}): Promise<void> {
    await this.#send("POST", "/mkdir", path, settings, settings.parents ? { parents: "1" } : {});
  }

  /** A directory as tar. */
  pack(path: string, settings: FileSettings = {}): Promise<AsyncIterable<Uint8Array>> {
    return this.#stream("/tar", path, settings);
  }

  /** Unpacks a tar into a directory, which is made where it is missing. */
  async unpack(path: string, tar: Content, settings: FileSettings = {}): Promise<void> {
    await this.#send("PUT", "/tar", path, settings, {}, tar);
  }

  /**
   * Yields what changes in a directory, at any depth, and `undefined` once when it begins to. The tree is looked at every
   * `interval` `seconds` (1 by default), so what comes and goes in between is not seen.
   */
  async *watch(
    path: string,
    settings: FileSettings & { interval?: number } = {},
  ): AsyncGenerator<FileChange | undefined> {
    const { interval } = settings;
    const more: Record<string, string> = interval === undefined ? {} : { interval: String(interval) };
    for await (const { event, data } of parseEvents(await this.#stream("/watch", path, settings, more))) {
      if (event === "ready") yield undefined;
      else if (event === "change") yield JSON.parse(data) as FileChange;
      else if (event === "error") {
        const { message, error } = JSON.parse(data) as { message: string; error: { code: string; hint: string } };
        throw new MagsError(message, error);
      }
    }
  }

  async #send(
    method: string,
    what: string,
    path: string,
    settings: FileSettings,
    more: Record<string, string> = {},
    content?: Content,
  ): Promise<void> {
    const url = this.#path(what, path, settings, more);
    const response = await callRaw(this.#http, method, url, { body: content, signal: settings.signal });
    await response.body?.cancel();
  }

  async #stream(
    what: string,
    path: string,
    settings: FileSettings,
    more: Record<string, string> = {},
  ): Promise<AsyncIterable<Uint8Array>> {
    const response = await callRaw(this.#http, "GET", this.#path(what, path, settings, more), settings);
    return response.body as unknown as AsyncIterable<Uint8Array>;
  }

  #path(what: string, path: string, { user }: FileSettings, more: Record<string, string> = {}): string {
    return `${this.#base}${what}?${new URLSearchParams({ path, ...(user === undefined ? {} : { user }), ...more })}`;
  }
}
