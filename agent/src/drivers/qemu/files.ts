import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { bind, run, unmount } from "@mags/kit";
import { z } from "zod";
import type { Image } from "../../sandbox/driver.ts";

const VmFile = z.object({ kernel: z.string(), recipe: z.string() });

/** What every machine boots. */
export interface BootFiles {
  kernel: string;
  initramfs: string;
  /** release of the kernel, for example `6.1.0-56-cloud-amd64` */
  release: string;
  /** changes whenever what boots does */
  recipe: string;
}

/** Finds what `images/vm/build.sh` has made in `imageDir`. Throws when it is not there, saying how to make it. */
export async function readBootFiles(imageDir: string): Promise<BootFiles> {
  const dir = join(imageDir, ".vm");
  try {
    const { kernel: release, recipe } = VmFile.parse(JSON.parse(await readFile(join(dir, "vm.json"), "utf8")));
    return { kernel: join(dir, "vmlinuz"), initramfs: join(dir, "initramfs.gz"), release, recipe };
  } catch (cause) {
    throw new Error(`no kernel for virtual machines in ${imageDir}: \`MAGS_RUNTIME=qemu npm start\` makes it`, {
      cause,
    });
  }
}

/**
 * Shows files to QEMU, whose user cannot enter the directories where they are. The mounts are this agent's own; a machine
 * needs them only while it starts.
 */
export class Shown {
  readonly #dir: string;
  readonly #names = new Map<string, Promise<string>>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Where QEMU finds `source`, under the `name` that is only its. */
  show(name: string, source: string): Promise<string> {
    let shown = this.#names.get(name);
    if (!shown) {
      shown = this.#mount(join(this.#dir, name), source);
      this.#names.set(name, shown);
      shown.catch(() => this.#names.delete(name));
    }
    return shown;
  }

  /** Also what an earlier driver of this agent has shown. */
  async close(): Promise<void> {
    for (const name of await readdir(this.#dir).catch(() => [])) unmount(join(this.#dir, name));
  }

  async #mount(path: string, source: string): Promise<string> {
    await mkdir(this.#dir, { recursive: true, mode: 0o711 });
    unmount(path);
    await writeFile(path, "");
    bind(source, path);
    return path;
  }
}

const making = new Map<string, Promise<void>>();

/**
 * The image as a file that a machine can have as its disk, beside the directory that containers use. Made when it is first
 * wanted (two seconds for the base image).
 */
export async function diskOf(image: Image): Promise<string> {
  const dir = dirname(image.rootfs);
  const name = `vm-${image.digest.replace(/^sha256:/, "").slice(0, 16)}.erofs`;
  const path = join(dir, name);
  if (existsSync(path)) return path;
  let made = making.get(path);
  if (!made) {
    made = make(image.rootfs, dir, name).finally(() => making.delete(path));
    making.set(path, made);
  }
  await made;
  return path;
}

async function make(rootfs: string, dir: string, name: string): Promise<void> {
  const draft = join(dir, `.${name}.${process.pid}`);
  await run("mkfs.erofs", ["-d0", "-zlz4", draft, rootfs]);
  await rename(draft, join(dir, name));
  // Machines that still have an older one open keep it.
  for (const other of await readdir(dir))
    if (/^\.?vm-.*\.erofs/.test(other) && other !== name) await rm(join(dir, other), { force: true });
}
