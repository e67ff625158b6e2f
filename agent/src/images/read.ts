import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Image, ImageConfig } from "../sandbox/driver.ts";

const Config = z.object({
  env: z.record(z.string(), z.string()),
  workdir: z.string().nullable(),
  user: z.string().nullable(),
  entrypoint: z.array(z.string()),
});

/** As the Open Container Initiative writes it; only what we honour, all of it optional. */
const OciImage = z.object({
  config: z
    .object({
      Env: z.array(z.string()).nullish(),
      WorkingDir: z.string().nullish(),
      User: z.string().nullish(),
      Entrypoint: z.array(z.string()).nullish(),
    })
    .nullish(),
});

const ImageFile = z.object({
  name: z.string(),
  digest: z.string(),
  created: z.string(),
  config: Config.optional(),
  oci: OciImage.optional(),
});

/** Where the image `name` lies, below the image directory: recipes under their names, images of registries under a hash of theirs. */
export const directoryOf = (name: string): string =>
  name.startsWith("docker://") ? `oci-${createHash("sha256").update(name).digest("hex").slice(0, 24)}` : name;

/** Reads the image `name` below `imageDir`. Throws when it is not there, saying how to build it. */
export async function readImage(imageDir: string, name: string): Promise<Image & { created: string }> {
  const dir = join(imageDir, directoryOf(name));
  try {
    const file = ImageFile.parse(JSON.parse(await readFile(join(dir, "image.json"), "utf8")));
    const config = file.config ?? fromOci(file.oci ?? {});
    return { name: file.name, digest: file.digest, created: file.created, rootfs: join(dir, "rootfs"), config };
  } catch (cause) {
    throw new Error(`there is no image ${name} in ${imageDir}: \`npm start\` builds the default one`, { cause });
  }
}

function fromOci({ config }: z.infer<typeof OciImage>): ImageConfig {
  const pairs = (config?.Env ?? []).map((entry) => {
    const [name = "", ...value] = entry.split("=");
    return [name, value.join("=")] as const;
  });
  return {
    env: Object.fromEntries(pairs.filter(([name]) => name !== "")),
    workdir: config?.WorkingDir || null,
    user: userOf(config?.User ?? ""),
    entrypoint: config?.Entrypoint ?? [],
  };
}

/** `name`, `uid` or `uid:gid`; of `name:group` the group is the user's own. */
const userOf = (text: string): string | null =>
  (/^\d+(:\d+)?$/.test(text) ? text : (text.split(":")[0] as string)) || null;
