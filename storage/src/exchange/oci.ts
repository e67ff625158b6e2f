import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { arch } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { ReflinkStore } from "../volumes/index.ts";
import { type ExportManifest, Meter } from "./meter.ts";
import { tarOf, withLayer } from "./tar.ts";

const TYPES = {
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
  config: "application/vnd.oci.image.config.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
};
/** How the history of an image tells that its last layer is a workspace. */
export const WORKSPACE_LAYER = "mags: workspace";
/** The fastest: what is written is read by other programs, over fast lines. */
const LEVEL = 1;

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

/**
 * Writes an OCI image in an archive (`oci-archive:` of podman and skopeo) to `output`: the image's root directory `base` as
 * the first layer, the workspace's changes in the volume `image` as the second. `name` is the image's reference.
 */
export function exportOci(
  store: ReflinkStore,
  image: string,
  base: string,
  name: string,
  output: Writable,
): Promise<ExportManifest> {
  return withLayer(store, image, async (upper, dir) => {
    const layout = join(dir, "layout");
    await mkdir(join(layout, "blobs", "sha256"), { recursive: true });
    const layers = [await addLayer(layout, base), await addLayer(layout, upper)];
    const architecture = arch() === "x64" ? "amd64" : arch();
    const config = await addJson(layout, TYPES.config, {
      created: new Date().toISOString(),
      architecture,
      os: "linux",
      config: { Cmd: ["/bin/sh"], WorkingDir: "/root", User: "0:0" },
      rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
      history: [{ created_by: "mags: image" }, { created_by: WORKSPACE_LAYER }],
    });
    const manifest = await addJson(layout, TYPES.manifest, {
      schemaVersion: 2,
      mediaType: TYPES.manifest,
      config,
      layers: layers.map(({ descriptor }) => descriptor),
    });
    const entry = { ...manifest, platform: { architecture, os: "linux" } };
    const annotations = { "org.opencontainers.image.ref.name": name };
    const index = { schemaVersion: 2, mediaType: TYPES.index, manifests: [{ ...entry, annotations }] };
    await writeFile(join(layout, "index.json"), JSON.stringify(index));
    await writeFile(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
    const meter = new Meter();
    await pipeline(tarOf(layout), meter, output);
    return meter.manifest("oci");
  });
}

/** Adds a directory as a layer; `diffId` is the digest of its tar before compression. */
async function addLayer(layout: string, directory: string): Promise<{ descriptor: Descriptor; diffId: string }> {
  const path = join(layout, "layer");
  const [plain, packed] = [new Meter(), new Meter()];
  await pipeline(tarOf(directory), plain, createGzip({ level: LEVEL }), packed, createWriteStream(path));
  const { bytes, sha256 } = packed.manifest("tar");
  await rename(path, blobPath(layout, sha256));
  const descriptor = { mediaType: TYPES.layer, digest: `sha256:${sha256}`, size: bytes };
  return { descriptor, diffId: `sha256:${plain.manifest("tar").sha256}` };
}

async function addJson(layout: string, mediaType: string, value: unknown): Promise<Descriptor> {
  const text = JSON.stringify(value);
  const hash = createHash("sha256").update(text).digest("hex");
  await writeFile(blobPath(layout, hash), text);
  return { mediaType, digest: `sha256:${hash}`, size: Buffer.byteLength(text) };
}

const blobPath = (layout: string, hash: string): string => join(layout, "blobs", "sha256", hash);
