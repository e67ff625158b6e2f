import { parseRegistries } from "@mags/agent";
import { z } from "zod";

/** The options that say where images come from. */
export const imageOptions = [
  { name: "imageDir", env: "MAGS_IMAGE_DIR", default: "<data directory>/images", help: "Directory of the images" },
  {
    name: "registries",
    env: "MAGS_REGISTRIES",
    default: "docker.io,quay.io,ghcr.io",
    help: "Registries that jobs may name images of, with commas; http:// before one is for one without TLS; none for none",
  },
  {
    name: "imageMaxMb",
    env: "MAGS_IMAGE_MAX_MB",
    default: "10240",
    unit: "MiB",
    help: "What an image of a registry may take on the node's disk",
  },
  {
    name: "alpineMirror",
    env: "MAGS_ALPINE_MIRROR",
    default: "https://dl-cdn.alpinelinux.org/alpine",
    help: "Where Alpine and its packages are fetched from for the image alpine",
  },
] as const;

export const ImageSettings = z.object({
  imageDir: z.string().startsWith("/", "must be an absolute path").optional(),
  registries: z
    .string()
    .transform((text, context) => {
      try {
        return parseRegistries(text);
      } catch (error) {
        context.addIssue((error as Error).message);
        return z.NEVER;
      }
    })
    .prefault("docker.io,quay.io,ghcr.io"),
  imageMaxMb: z.coerce.number().int().min(1).default(10_240),
  alpineMirror: z
    .url({ protocol: /^https?$/, error: "must be a URL" })
    .default("https://dl-cdn.alpinelinux.org/alpine"),
});
