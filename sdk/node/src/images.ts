import { MagsError } from "./errors.ts";
import { type CallSettings, callJson, type HttpOptions, pause } from "./http.ts";
import type { ImageList, ImageOnNode } from "./wire.ts";

const POLL_MS = 500;

export interface ImageOptions extends CallSettings {
  /** only on this node; on all of them by default */
  node?: string | undefined;
}

/** What machines start from; for who runs the server. All calls throw MagsError. */
export class ImagesClient {
  readonly #http: HttpOptions;

  constructor(http: HttpOptions) {
    this.#http = http;
  }

  list(options: CallSettings = {}): Promise<ImageList> {
    return callJson(this.#http, "GET", "/mags-images", options);
  }

  /** Begins to build or pull it and answers at once; where nothing has changed, nothing is done. */
  make(image: string, { node, signal }: ImageOptions = {}): Promise<ImageList> {
    return callJson(this.#http, "POST", "/mags-images", { body: { image, node }, signal });
  }

  /** Builds or pulls it and answers when it is there; `onProgress` is called with what each node does. */
  async build(
    image: string,
    { onProgress, ...options }: { onProgress?: (image: ImageOnNode) => void } & ImageOptions = {},
  ): Promise<ImageOnNode[]> {
    const begun = (await this.make(image, options)).images;
    for (const one of begun) onProgress?.(one);
    const isMeant = (found: ImageOnNode) =>
      begun.some(({ image, node }) => found.image === image && found.node === node);
    for (;;) {
      const found = (await this.list(options)).images.filter(isMeant);
      for (const one of found) onProgress?.(one);
      const failed = found.find(({ state }) => state === "failed");
      if (failed) throw new MagsError(`${failed.node}: ${failed.error}`, { code: "image_unavailable" });
      if (found.length === begun.length && found.every(({ state }) => state === "ready")) return found;
      await pause(POLL_MS, options.signal);
    }
  }

  /** Removes it from every node; a MagsError with status 409 while a job or workspace needs it. */
  async remove(image: string, options: CallSettings = {}): Promise<void> {
    await callJson(this.#http, "DELETE", `/mags-images?image=${encodeURIComponent(image)}`, options);
  }
}
