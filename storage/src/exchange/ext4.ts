import { createReadStream } from "node:fs";
import { open, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { preen, prove, refuseForeign } from "../versions/ext4.ts";
import { VersionError } from "../versions/index.ts";
import type { ReflinkStore } from "../volumes/index.ts";
import { type ExportManifest, Meter } from "./meter.ts";
import { inScratch } from "./scratch.ts";

const MiB = 1024 ** 2;
const ZEROS = Buffer.alloc(MiB);
/** Writes the volume `image`, which nobody writes, to `output` as it is: an ext4 file system. */
export async function exportExt4(image: string, output: Writable): Promise<ExportManifest> {
  const meter = new Meter();
  await pipeline(createReadStream(image, { highWaterMark: MiB }), meter, output);
  return meter.manifest("ext4");
}

/**
 * Makes the volume `to` (new) of an ext4 image of at most `mostBytes`. A foreign file system is checked by e2fsck before the
 * kernel sees it, and refused (VersionError `invalid`) unless it is whole, of features that Mags uses, and a volume of
 * Mags; `damaged` when it is not as `expected`. Then there is no volume.
 */
export function importExt4(
  store: ReflinkStore,
  input: Readable,
  to: string,
  mostBytes: number,
  expected?: Pick<ExportManifest, "sha256">,
): Promise<void> {
  return inScratch(store, async ({ dir, mount }) => {
    const image = join(dir, "volume");
    const meter = new Meter();
    await receive(input, meter, image, mostBytes);
    meter.check(expected);
    await examine(image);
    await mount(image);
    await rename(image, to);
  });
}

/** Writes a stream to a file with holes where there are zeros. */
async function receive(input: Readable, meter: Meter, path: string, mostBytes: number): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    let at = 0;
    await pipeline(input, meter, async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) {
        if (at + chunk.length > mostBytes) {
          throw new VersionError("invalid", `the image has more than ${mostBytes} bytes`);
        }
        if (ZEROS.compare(chunk, 0, chunk.length, 0, chunk.length) !== 0) await file.write(chunk, 0, chunk.length, at);
        at += chunk.length;
      }
    });
    await file.truncate(Math.ceil(at / MiB) * MiB);
  } finally {
    await file.close();
  }
}

/** As it was brought in: whoever did that can repair it better. */
async function examine(image: string): Promise<void> {
  try {
    await refuseForeign(image);
    await preen(image);
    await prove(image);
  } catch (error) {
    if (!(error instanceof VersionError)) throw error;
    throw new VersionError("invalid", error.message);
  }
}
