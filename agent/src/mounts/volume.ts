import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "@mags/kit";

/**
 * Writable disks: sparse ext4 images copied from a formatted template, one per size, so that a sandbox's disk limit is
 * the file system's own ENOSPC and the template costs one `mkfs` in the life of a data directory.
 */
export class Volumes {
  readonly #dir: string;
  readonly #templates = new Map<number, Promise<string>>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Makes the image file `path` of `diskGb` GiB; it holds the empty directories `upper` and `work`. */
  async create(path: string, diskGb: number): Promise<void> {
    const megabytes = Math.ceil(diskGb * 1024);
    let template = this.#templates.get(megabytes);
    if (!template) {
      template = this.#template(megabytes);
      this.#templates.set(megabytes, template);
      template.catch(() => this.#templates.delete(megabytes));
    }
    await run("cp", ["--reflink=auto", "--sparse=auto", await template, path]);
  }

  async #template(megabytes: number): Promise<string> {
    await mkdir(this.#dir, { recursive: true });
    const path = join(this.#dir, `template-${megabytes}m.ext4`);
    const skeleton = await mkdtemp(join(this.#dir, "making-"));
    try {
      await mkdir(join(skeleton, "root", "upper"), { recursive: true, mode: 0o755 });
      await mkdir(join(skeleton, "root", "work"), { mode: 0o755 });
      const image = join(skeleton, "image");
      // No journal: what an ephemeral disk holds is not needed after a crash, and the copy stays small.
      const options = [
        "-q",
        "-F",
        "-m",
        "0",
        "-O",
        "^has_journal",
        "-E",
        "lazy_itable_init=1,nodiscard,root_owner=0:0",
      ];
      await run("mkfs.ext4", [...options, "-d", join(skeleton, "root"), image, `${megabytes}m`]);
      await rename(image, path);
    } finally {
      await rm(skeleton, { recursive: true, force: true });
    }
    return path;
  }
}
