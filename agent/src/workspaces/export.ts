import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Cleanup } from "@mags/kit";
import type { ExportFormat } from "@mags/protocol";
import type { ReflinkStore } from "@mags/storage";
import { openLayer, tarOf } from "./layer.ts";

/** What is exported, and where. */
export interface Exported {
  /** what it is called in an OCI image */
  name: string;
  format: ExportFormat;
  /** the version's volume */
  volume: string;
  /** directory of the image that it lies over */
  rootfs: string;
  store: ReflinkStore;
  /** directory in the store for scratch files */
  dir: string;
}

/** The bytes of a version in a format that other tools read. Its scratch files go when the stream is closed. */
export async function exportVolume(exported: Exported): Promise<Readable> {
  if (exported.format === "ext4") return createReadStream(exported.volume);
  const cleanup = new Cleanup();
  try {
    const scratch = join(exported.dir, randomUUID());
    const layer = await openLayer(exported.store, exported.volume, scratch);
    cleanup.add("layer", () => layer.close());
    const layout = `${scratch}.oci`;
    cleanup.add("layout", () => rm(layout, { recursive: true, force: true }));
    if (exported.format === "oci") await writeLayout(layout, exported, layer.dir);
    const stream = tarOf(exported.format === "oci" ? layout : layer.dir);
    stream.once("close", () => void cleanup.run().catch(() => undefined));
    return stream;
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}

interface Blob {
  mediaType: string;
  digest: string;
  size: number;
}

const TYPE = "application/vnd.oci.image";

/** An OCI image layout (image-spec 1.0) of two layers: the image, and the workspace's files. */
async function writeLayout(dir: string, { name, rootfs }: Exported, layer: string): Promise<void> {
  const blobs = join(dir, "blobs", "sha256");
  await mkdir(blobs, { recursive: true });
  const layers: Blob[] = [];
  for (const source of [rootfs, layer]) layers.push(await writeLayer(blobs, source));
  const config = await writeJson(blobs, `${TYPE}.config.v1+json`, {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: {
      Cmd: ["/bin/sh"],
      WorkingDir: "/root",
      Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    },
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
  });
  const mediaType = `${TYPE}.manifest.v1+json`;
  const manifest = await writeJson(blobs, mediaType, { schemaVersion: 2, mediaType, config, layers });
  const annotations = { "org.opencontainers.image.ref.name": name };
  const index = { schemaVersion: 2, mediaType: `${TYPE}.index.v1+json`, manifests: [{ ...manifest, annotations }] };
  await writeFile(join(dir, "index.json"), JSON.stringify(index));
  await writeFile(join(dir, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

/** Uncompressed, so that its digest is that of the files, too. */
async function writeLayer(blobs: string, source: string): Promise<Blob> {
  const path = join(blobs, "writing");
  const hash = createHash("sha256");
  let size = 0;
  async function* counted(stream: Readable) {
    for await (const piece of stream) {
      hash.update(piece);
      size += piece.length;
      yield piece;
    }
  }
  await pipeline(tarOf(source), counted, createWriteStream(path));
  const hex = hash.digest("hex");
  await rename(path, join(blobs, hex));
  return { mediaType: `${TYPE}.layer.v1.tar`, digest: `sha256:${hex}`, size };
}

async function writeJson(blobs: string, mediaType: string, content: object): Promise<Blob> {
  const text = JSON.stringify(content);
  const hex = createHash("sha256").update(text).digest("hex");
  await writeFile(join(blobs, hex), text);
  return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(text) };
}
