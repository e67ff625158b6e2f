import { existsSync, readdirSync } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Logger, run } from "@mags/kit";
import { ApiError, DEFAULT_IMAGE, type NodeImage, recipes } from "@mags/protocol";
import type { Image } from "../sandbox/driver.ts";
import { type Build, startBuild } from "./build.ts";
import { directoryOf, readImage } from "./read.ts";
import { type Registry, registryOf } from "./registries.ts";

export { ImageUnavailable } from "./errors.ts";
export { readImage } from "./read.ts";
export { parseRegistries, type Registry } from "./registries.ts";
export { imageRoutes } from "./routes.ts";

export interface ImagesOptions {
  /** directory with one folder per image */
  dir: string;
  registries: readonly Registry[];
  /** most that an image of a registry may take, `MiB` */
  mostMb: number;
  alpineMirror: string;
  /** machines that stand on the image now */
  inUse: (image: string) => number;
  /** other images are here now */
  changed: () => void;
  logger: Logger;
}

const SWEEP = new URL("../../../images/sweep.sh", import.meta.url).pathname;

/** The images of this node: those that are there, and those that can be built by a recipe or pulled from a registry. */
export class Images {
  readonly #options: ImagesOptions;
  readonly #ready = new Map<string, Image>();
  readonly #builds = new Map<string, Build>();
  readonly #failures = new Map<string, string>();

  private constructor(options: ImagesOptions) {
    this.#options = options;
  }

  /** Removes what killed builds have left. Throws where there is no default image. */
  static async open(options: ImagesOptions): Promise<Images> {
    const images = new Images(options);
    await run("sh", [SWEEP, options.dir]);
    images.#ready.set(DEFAULT_IMAGE, await readImage(options.dir, DEFAULT_IMAGE));
    for (const name of [...recipes, ...(await images.#pulled())]) await images.#find(name).catch(() => undefined);
    return images;
  }

  /** What it can give: names, and beginnings of references. */
  get offered(): string[] {
    return [...recipes, ...this.#options.registries.map(({ host }) => `docker://${host}/`)];
  }

  /** Digests of the images that are here. */
  get digests(): string[] {
    return [...this.#ready.values()].map(({ digest }) => digest);
  }

  get default(): Image {
    return this.#ready.get(DEFAULT_IMAGE) as Image;
  }

  /**
   * The image, which is built or pulled now where it is not there; `log` gets a line for each step of that. Throws
   * ImageUnavailable, or the reason of `signal`; others who wait for it still get it.
   */
  async ensure(name: string, signal: AbortSignal, log: (line: string) => void): Promise<Image> {
    const ready = this.#ready.get(name) ?? (await this.#find(name));
    if (ready) return ready;
    const build = this.#build(name);
    const unfollow = build.follow(log);
    try {
      return await Promise.race([build.done, aborted(signal)]);
    } finally {
      unfollow();
    }
  }

  /** Begins to build or pull it, also anew where it is there: a recipe that changed, a tag that moved. */
  make(name: string): NodeImage {
    this.#build(name).done.catch(() => undefined);
    return { ...absent(name), state: "building" };
  }

  /** Every recipe, and every image of a registry that is here or was tried. */
  async list(): Promise<NodeImage[]> {
    const names = new Set<string>([...recipes, ...this.#builds.keys(), ...this.#failures.keys()]);
    for (const name of await this.#pulled()) names.add(name);
    return Promise.all([...names].map((name) => this.#show(name)));
  }

  /** Throws ApiError not_found, or conflict for one that machines stand on, is being built, or is the default. */
  async remove(name: string): Promise<void> {
    const { dir, inUse } = this.#options;
    if (name === DEFAULT_IMAGE) throw new ApiError("conflict", `image ${name} is the default: it stays`);
    if (this.#builds.has(name)) throw new ApiError("conflict", `image ${name} is being built: wait for that`);
    const users = inUse(name);
    if (users > 0) throw new ApiError("conflict", `image ${name} is in use by ${users} machines: stop them first`);
    this.#ready.delete(name);
    this.#options.changed();
    const failed = this.#failures.delete(name);
    const path = join(dir, directoryOf(name));
    if (!existsSync(path)) {
      if (failed) return;
      throw new ApiError("not_found", `image ${name} is not on this node`);
    }
    // In one step, so that half of an image is never taken for one; the sweep finds what is left of this.
    const doomed = join(dir, `.building-${directoryOf(name)}-${process.pid.toString(36).padStart(6, "0").slice(-6)}`);
    await rename(path, doomed);
    await rm(doomed, { recursive: true });
  }

  /** Ends what is being built. */
  async close(): Promise<void> {
    await Promise.all([...this.#builds.values()].map((build) => build.cancel()));
  }

  #build(name: string): Build {
    const running = this.#builds.get(name);
    if (running) return running;
    const { dir, mostMb, alpineMirror, logger } = this.#options;
    const registry = name.startsWith("docker://") ? registryOf(name, this.#options.registries) : undefined;
    const build = startBuild({ dir, name, plain: registry?.plain ?? false, mostMb, alpineMirror }, async () => {
      const image = await readImage(dir, name);
      this.#ready.set(name, image);
      this.#options.changed();
      return image;
    });
    this.#builds.set(name, build);
    this.#failures.delete(name);
    build.done
      .catch((error: Error) => {
        this.#failures.set(name, error.message);
        logger.warn({ image: name, err: error }, "an image could not be had");
      })
      .finally(() => this.#builds.delete(name));
    return build;
  }

  async #find(name: string): Promise<Image | undefined> {
    if (this.#builds.has(name) || !existsSync(join(this.#options.dir, directoryOf(name)))) return undefined;
    const image = await readImage(this.#options.dir, name);
    this.#ready.set(name, image);
    return image;
  }

  /** References of the images of registries that are here. */
  async #pulled(): Promise<string[]> {
    const found: string[] = [];
    for (const entry of readdirSync(this.#options.dir)) {
      if (!entry.startsWith("oci-")) continue;
      const text = await readFile(join(this.#options.dir, entry, "image.json"), "utf8").catch(() => "{}");
      const { name } = JSON.parse(text) as { name?: string };
      if (name !== undefined && directoryOf(name) === entry) found.push(name);
    }
    return found;
  }

  async #show(name: string): Promise<NodeImage> {
    const { dir, inUse } = this.#options;
    const build = this.#builds.get(name);
    const there = await readImage(dir, name).catch(() => undefined);
    const error = this.#failures.get(name) ?? null;
    const state = build ? "building" : there ? "ready" : error ? "failed" : "absent";
    const bytes = there ? await sizeOf(join(dir, directoryOf(name))) : null;
    const step = build?.step ?? null;
    const facts = { digest: there?.digest ?? null, bytes, created_at: there?.created ?? null, in_use: inUse(name) };
    return { image: name, state, step, error, ...facts };
  }
}

const absent = (image: string): NodeImage => ({
  image,
  state: "absent",
  step: null,
  error: null,
  digest: null,
  bytes: null,
  created_at: null,
  in_use: 0,
});

/** Bytes of everything below `path`. */
async function sizeOf(path: string): Promise<number> {
  const [bytes] = (await run("du", ["-sb", path])).split("\t");
  return Number(bytes);
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
