import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "@mags/kit";
import type { ReflinkStore } from "./store.ts";
import { trust } from "./trust.ts";

/** `journaled` for what outlives its machine; without a journal a copy is smaller and a write one write. */
export type VolumeKind = "journaled" | "scratch";

/**
 * Volumes: ext4 images copied from a formatted template, one per kind and size, so that a disk's limit is the file
 * system's own ENOSPC and formatting costs one `mkfs` in the life of a data directory. Each holds the empty directories
 * `upper` and `work` for an overlay.
 */
export class Templates {
  readonly #store: ReflinkStore;
  readonly #made = new Map<string, Promise<string>>();

  constructor(store: ReflinkStore) {
    this.#store = store;
  }

  /** Makes the volume `path` (in the store) of `diskGb` GiB. Throws StoreFull when there is no room for a new one. */
  async create(path: string, diskGb: number, kind: VolumeKind): Promise<void> {
    this.#store.clone(await this.#template(Math.ceil(diskGb * 1024), kind), path);
  }

  #template(megabytes: number, kind: VolumeKind): Promise<string> {
    const name = `${kind}-${megabytes}m.ext4`;
    let template = this.#made.get(name);
    if (!template) {
      template = this.#make(name, megabytes, kind);
      this.#made.set(name, template);
      template.catch(() => this.#made.delete(name));
    }
    return template;
  }

  async #make(name: string, megabytes: number, kind: VolumeKind): Promise<string> {
    const dir = join(this.#store.path, "templates");
    await mkdir(dir, { recursive: true });
    const skeleton = await mkdtemp(join(dir, "making-"));
    try {
      await mkdir(join(skeleton, "root", "upper"), { recursive: true, mode: 0o755 });
      await mkdir(join(skeleton, "root", "work"), { mode: 0o755 });
      const image = join(skeleton, "image");
      const features = kind === "scratch" ? ["-O", "^has_journal"] : [];
      // The file is all holes: nothing has to be zeroed, neither now nor by the kernel behind a sandbox's back.
      const extended = ["-E", "assume_storage_prezeroed=1,nodiscard,root_owner=0:0"];
      const args = ["-q", "-F", "-m", "0", "-b", "4096", ...features, ...extended, "-d", join(skeleton, "root")];
      await run("mkfs.ext4", [...args, image, `${megabytes}m`]);
      trust(image);
      await rename(image, join(dir, name));
    } finally {
      await rm(skeleton, { recursive: true, force: true });
    }
    return join(dir, name);
  }
}
