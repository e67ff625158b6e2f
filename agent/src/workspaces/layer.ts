import { lstat, readdir, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { attributeOf, Cleanup, RunError, spawn } from "@mags/kit";
import type { ReflinkStore } from "@mags/storage";
import { mountCopy } from "./mounted.ts";

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
/** What overlayfs keeps for itself is no attribute of the files. */
const TAR = [
  "--create",
  "--numeric-owner",
  "--xattrs",
  "--xattrs-include=*",
  "--xattrs-exclude=trusted.*",
  "--sort=name",
];

/**
 * The workspace's own files of the volume `image`, as a directory that is a layer of an OCI image: what was deleted of
 * the image below is a file `.wh.<name>`. `scratch` is a new path in the store for the copy in which that is written;
 * `close` removes it.
 */
export async function openLayer(
  store: ReflinkStore,
  image: string,
  scratch: string,
): Promise<{ dir: string; close(): Promise<void> }> {
  const cleanup = new Cleanup();
  try {
    const dir = join(await mountCopy(store, image, scratch, cleanup), "upper");
    await writeWhiteouts(Buffer.from(dir));
    return { dir, close: () => cleanup.run() };
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}

/** Names are bytes: not all are UTF-8. Nothing is followed: every directory on the way was seen as one. */
async function writeWhiteouts(dir: Buffer): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true, encoding: "buffer" })) {
    const path = within(dir, entry.name);
    if (entry.isDirectory()) await writeWhiteouts(path);
    else if (entry.isCharacterDevice() && (await lstat(path)).rdev === 0) {
      await unlink(path);
      await mark(within(dir, Buffer.concat([Buffer.from(WHITEOUT), entry.name])));
    }
  }
  if (attributeOf(dir, "trusted.overlay.opaque")?.toString() === "y") await mark(within(dir, Buffer.from(OPAQUE)));
}

const within = (dir: Buffer, name: Buffer): Buffer => Buffer.concat([dir, Buffer.from("/"), name]);

async function mark(path: Buffer): Promise<void> {
  await writeFile(path, "", { flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
}

/** A tar of what is in `dir`. The stream fails when not all of it could be read. */
export function tarOf(dir: string): Readable {
  return Readable.from(pack(dir), { objectMode: false });
}

async function* pack(dir: string): AsyncGenerator<Buffer> {
  const child = spawn("tar", [...TAR, "-C", dir, "."], {
    buffer: false,
    reject: false,
    stderr: "ignore",
    stdin: "ignore",
  });
  try {
    for await (const piece of child.stdout as Readable) yield piece as Buffer;
    const { exitCode } = await child;
    if (exitCode !== 0) throw new RunError(`tar of ${dir}`, exitCode, "it could not read everything");
  } finally {
    child.kill("SIGKILL");
  }
}
