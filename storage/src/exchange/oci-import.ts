import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readFile, realpath, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { z } from "zod";
import { VersionError } from "../versions/index.ts";
import type { ReflinkStore, Templates } from "../volumes/index.ts";
import { type ExportManifest, Meter } from "./meter.ts";
import { WORKSPACE_LAYER } from "./oci.ts";
import { inScratch } from "./scratch.ts";
import { layerVolume, unpack } from "./tar.ts";

/** Longest index, manifest or configuration that is read, `bytes` */
const LONGEST_JSON = 4 * 1024 ** 2;

const Descriptor = z.object({
  mediaType: z.string(),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  size: z.number().int().min(0),
});
type Descriptor = z.infer<typeof Descriptor>;
const Index = z.object({ manifests: z.array(Descriptor).length(1) });
const Manifest = z.object({ config: Descriptor, layers: z.array(Descriptor) });
const Config = z.object({ history: z.array(z.object({ created_by: z.string().optional() })).optional() });

/**
 * Makes the volume `to` (new, of `diskGb` GiB) of an OCI archive that `exportOci` has written: every object in it is checked
 * against its digest, then the workspace's layer is unpacked as `importTar` does it. Throws VersionError `damaged` for an
 * archive that is not what its digests or `expected` say, `invalid` for any other; then there is no volume.
 */
export function importOci(
  store: ReflinkStore,
  templates: Templates,
  input: Readable,
  to: string,
  diskGb: number,
  expected?: Pick<ExportManifest, "sha256">,
): Promise<void> {
  return inScratch(store, async (scratch) => {
    const layout = join(scratch.dir, "layout");
    await mkdir(layout);
    const meter = new Meter();
    await unpack(input, meter, layout, scratch.dir);
    meter.check(expected);
    const { digest, mediaType } = await workspaceLayer(layout);
    const file = createReadStream(await pathOf(layout, digest));
    const layer = mediaType.endsWith("gzip") ? decompressed(file) : file;
    await rename(await layerVolume(scratch, templates, layer, diskGb, new Meter()), to);
  });
}

/** Checks all of an image and finds the layer of the workspace, the last one. */
async function workspaceLayer(layout: string): Promise<Descriptor> {
  const [entry] = (await parsed(await inside(layout, "index.json"), Index)).manifests;
  const manifest = await parsed(await checked(layout, entry as Descriptor), Manifest);
  const config = await parsed(await checked(layout, manifest.config), Config);
  for (const layer of manifest.layers) await checked(layout, layer);
  const last = manifest.layers.at(-1);
  if (manifest.layers.length === 2 && last && config.history?.at(-1)?.created_by === WORKSPACE_LAYER) return last;
  throw new VersionError(
    "invalid",
    "the image is no export of a workspace: that has two layers, the image below and the files of the workspace",
  );
}

async function parsed<T extends z.ZodType>(path: string, schema: T): Promise<z.infer<T>> {
  try {
    const { size } = await stat(path);
    if (size > LONGEST_JSON) throw new Error(`it has ${size} bytes`);
    return schema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    throw new VersionError("invalid", `the archive is no OCI image with one manifest: ${(error as Error).message}`);
  }
}

/** The path of an object that is as its descriptor says. */
async function checked(layout: string, { digest, size }: Descriptor): Promise<string> {
  const path = await pathOf(layout, digest);
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of createReadStream(path)) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  if (bytes === size && digest === `sha256:${hash.digest("hex")}`) return path;
  throw new VersionError("damaged", `object ${digest} of the archive is not what its name and size say`);
}

const pathOf = (layout: string, digest: string) => inside(layout, join("blobs", digest.replace(":", "/")));

/** A file of the archive itself: links in it may lead anywhere. */
async function inside(layout: string, name: string): Promise<string> {
  const path = join(layout, name);
  const real = await realpath(path).catch(() => undefined);
  if (real === path && (await stat(path)).isFile()) return path;
  throw new VersionError("invalid", `the archive is no OCI image: it has no file ${name}`);
}

function decompressed(file: Readable): Readable {
  return Readable.from(unzip(file), { objectMode: false });
}

async function* unzip(file: Readable): AsyncGenerator<Buffer> {
  try {
    yield* file.pipe(createGunzip());
  } catch (error) {
    throw new VersionError("damaged", `a layer cannot be decompressed: ${(error as Error).message}`);
  } finally {
    file.destroy();
  }
}
