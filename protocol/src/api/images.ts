import { z } from "zod";

/** Recipes that every node can build; the first is what machines have where nothing is said. */
export const recipes = ["base", "alpine", "browser"] as const;
export const DEFAULT_IMAGE = recipes[0];

/** Other names of the default image. */
const ALIASES: Record<string, string> = { debian: DEFAULT_IMAGE };

const HOST = "(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?/)?";
const PATH = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*";
const TAG = "(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?";
const REFERENCE = new RegExp(`^docker://${HOST}${PATH}${TAG}$`);
const RECIPE = /^[a-z][a-z0-9-]{0,63}$/;

/** An image of a job: a recipe, or an image of a registry; written the same way whatever was left out. */
export const ImageName = z
  .string()
  .max(400)
  .refine(
    (name) => RECIPE.test(name) || REFERENCE.test(name),
    `is no image: name one of ${recipes.join(", ")}, or an image of a registry such as docker://docker.io/library/alpine:3.23`,
  )
  .overwrite(canonical)
  .describe("Image: base, alpine, browser, or docker://registry/name:tag");

/** `docker://alpine` is `docker://docker.io/library/alpine:latest`, as Docker has it. */
function canonical(name: string): string {
  if (!name.startsWith("docker://")) return ALIASES[name] ?? name;
  const [first = "", ...rest] = name.slice("docker://".length).split("/");
  const hosted = rest.length > 0 && /[.:]|^localhost$/.test(first);
  const path = hosted ? rest.join("/") : [first, ...rest].join("/");
  const host = hosted ? first : "docker.io";
  const official = host === "docker.io" && !path.includes("/") ? "library/" : "";
  return `docker://${host}/${official}${path}${/[:@]/.test(path) ? "" : ":latest"}`;
}

/** Whether a node that offers `offered` (names, and beginnings that end in `/`) can have the image. */
export const offersImage = (offered: readonly string[], image: string): boolean =>
  offered.some((name) => (name.endsWith("/") ? image.startsWith(name) : name === image));

export const imageStates = ["ready", "building", "absent", "failed"] as const;

/** One image on one node. */
export const NodeImage = z.object({
  image: z.string(),
  state: z
    .enum(imageStates)
    .describe("absent: it is built or pulled when a job first asks for it; failed: the last try did not work"),
  step: z.string().nullable().describe("What is being done now"),
  error: z.string().nullable().describe("Why the last try failed"),
  digest: z.string().nullable(),
  bytes: z.number().int().nullable().describe("Size of its files"),
  created_at: z.string().nullable(),
  in_use: z.number().int().describe("Machines on the node that stand on it"),
});
export type NodeImage = z.infer<typeof NodeImage>;

export const ImageOnNode = NodeImage.extend({ node: z.string() });

/** Answer of `GET /mags-images`, and of what changes them. */
export const ImageList = z.object({ images: z.array(ImageOnNode) });
export type ImageList = z.infer<typeof ImageList>;

/** Body of `POST /mags-images`. */
export const MakeImage = z.object({
  image: ImageName,
  node: z.string().max(128).optional().describe("Only on this node; on all of them if absent"),
});

export const ImageQuery = z.object({ image: ImageName });
