import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { run, spawn } from "@mags/kit";
import { freePorts } from "./daemon.ts";

/** A registry of Debian's on loopback, without TLS. */
export interface Registry {
  host: string;
  dir: string;
  /** Pushes an image of these layers (tar files); answers its reference. */
  push(name: string, image: { layers: Buffer[]; config?: object; arch?: string }): Promise<string>;
  close(): Promise<void>;
}

/** With `locked`, nobody gets in: every call asks for a password that nobody has. */
export async function startRegistry({ locked = false } = {}): Promise<Registry> {
  const dir = await mkdtemp("/tmp/mags-registry-");
  const [port] = await freePorts(1);
  const host = `127.0.0.1:${port}`;
  const passwords = join(dir, "htpasswd");
  await writeFile(passwords, `nobody:$2y$05$${"a".repeat(53)}\n`);
  const settings = {
    version: "0.1",
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(dir, "data") }, delete: { enabled: true } },
    http: { addr: host },
    ...(locked ? { auth: { htpasswd: { realm: "test", path: passwords } } } : {}),
  };
  // JSON is YAML, too.
  await writeFile(join(dir, "config.yml"), JSON.stringify(settings));
  const server = spawn("docker-registry", ["serve", join(dir, "config.yml")], { reject: false, all: true });
  while (!(await fetch(`http://${host}/v2/`).catch(() => undefined))) await delay(20);
  return {
    host,
    dir,
    push: (name, image) => push(dir, `docker://${host}/${name}`, image),
    close: async () => {
      server.kill("SIGKILL");
      await server;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function push(
  dir: string,
  reference: string,
  { layers, config = {}, arch = "amd64" }: { layers: Buffer[]; config?: object; arch?: string },
): Promise<string> {
  const layout = await mkdtemp(join(dir, "layout-"));
  const blobs = join(layout, "blobs/sha256");
  await mkdir(blobs, { recursive: true });
  const put = async (mediaType: string, bytes: Buffer) => {
    const hex = createHash("sha256").update(bytes).digest("hex");
    await writeFile(join(blobs, hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const type = (kind: string) => `application/vnd.oci.image.${kind}`;
  const json = (value: object) => Buffer.from(JSON.stringify(value));
  const diff_ids = layers.map((layer) => `sha256:${createHash("sha256").update(layer).digest("hex")}`);
  const manifest = await put(
    type("manifest.v1+json"),
    json({
      schemaVersion: 2,
      config: await put(
        type("config.v1+json"),
        json({ architecture: arch, os: "linux", config, rootfs: { type: "layers", diff_ids } }),
      ),
      layers: await Promise.all(layers.map((layer) => put(type("layer.v1.tar+gzip"), gzipSync(layer)))),
    }),
  );
  const annotations = { "org.opencontainers.image.ref.name": "image" };
  await writeFile(join(layout, "index.json"), json({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }));
  await writeFile(join(layout, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));
  await run("skopeo", ["--insecure-policy", "copy", "-q", "--dest-tls-verify=false", `oci:${layout}:image`, reference]);
  return reference;
}
