import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Image } from "./sandbox/driver.ts";

const ImageFile = z.object({ name: z.string(), digest: z.string() });

/** Reads the image `name` below `imageDir`. Throws when it was not built, saying how to build it. */
export async function readImage(imageDir: string, name: string): Promise<Image> {
  const dir = join(imageDir, name);
  try {
    const file = ImageFile.parse(JSON.parse(await readFile(join(dir, "image.json"), "utf8")));
    return { name: file.name, digest: file.digest, rootfs: join(dir, "rootfs") };
  } catch (cause) {
    throw new Error(`there is no image ${name} in ${imageDir}: \`npm start\` builds it`, { cause });
  }
}
