import { zstdCompressSync } from "node:zlib";
import type { Assignment, JobVolume, VersionReason, VersionRef } from "@mags/protocol";
import { chunkKey, encodeManifest, manifestKey, sha256 } from "@mags/storage";
import { type Answer, call, type TestNode, type World } from "../../testing.ts";

export interface Upload {
  manifest: Buffer;
  name: string;
  stored: { hash: string; epoch: number; stored_bytes: number }[];
}

/** Makes versions as an agent does: `contents` are the chunks of the volume, as text. */
export class Writer {
  readonly #world: World;
  readonly #node: TestNode;

  constructor(world: World, node: TestNode) {
    this.#world = world;
    this.#node = node;
  }

  async claim(
    texts: (string | Buffer)[],
    org = "default",
  ): Promise<{ hash: string; epoch: number; missing: boolean }[]> {
    const chunks = texts.map((text) => ({ hash: sha256(Buffer.from(text)), bytes: Buffer.byteLength(text) }));
    const answer = await this.#post("chunks/claim", { org, chunks });
    if (answer.status !== 200) throw new Error(answer.body.message);
    return answer.body.chunks;
  }

  async upload(contents: string[], org = "default"): Promise<Upload> {
    const claimed = await this.claim(contents, org);
    const stored: Upload["stored"] = [];
    for (const [index, chunk] of claimed.entries()) {
      if (!chunk.missing) continue;
      const body = zstdCompressSync(contents[index] as string);
      await this.#world.objects.put(chunkKey(org, chunk.hash, chunk.epoch), body);
      stored.push({ hash: chunk.hash, epoch: chunk.epoch, stored_bytes: body.length });
    }
    const chunks = claimed.map(({ hash, epoch }, index): [number, string, number] => [index, hash, epoch]);
    const manifest = encodeManifest({ format: 1, volume_bytes: 2 ** 31, chunk_bytes: 2 ** 20, chunks });
    const [own] = await this.claim([manifest], org);
    const name = `${own?.hash}.${own?.epoch}`;
    if (own?.missing) {
      await this.#world.objects.put(manifestKey(org, name), manifest);
      stored.push({ hash: own.hash, epoch: own.epoch, stored_bytes: manifest.length });
    }
    return { manifest, name, stored };
  }

  commit(
    volume: Pick<JobVolume, "workspace">,
    upload: Upload,
    options: { parent?: VersionRef | null; reason?: VersionReason; job?: string; org?: string } = {},
  ): Promise<Answer> {
    return this.#post("versions", {
      org: options.org ?? "default",
      workspace: volume.workspace?.id,
      fence: volume.workspace?.fence,
      job: options.job ?? null,
      parent: options.parent?.id ?? null,
      reason: options.reason ?? "interval",
      manifest: upload.manifest.toString("base64"),
      manifest_name: upload.name,
      content_bytes: 3,
      stored: upload.stored,
      sync_ms: 5,
    });
  }

  /** Uploads and commits what the job has written, after the version it began with. */
  async write(job: Assignment, contents: string[], reason: VersionReason = "interval"): Promise<VersionRef> {
    const { volume } = job;
    if (!volume) throw new Error("the job has no volume");
    const upload = await this.upload(contents, job.org);
    const answer = await this.commit(volume, upload, { parent: volume.version, reason, job: job.id, org: job.org });
    if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.body.message}`);
    volume.version = answer.body.version;
    return answer.body.version;
  }

  progress(job: Assignment, told: object): Promise<Answer> {
    const { id, fence } = job.volume?.workspace ?? {};
    const base = { id, fence, pending_bytes: 0, dirty: false, durable_at: null, last_sync_ms: null, error: null };
    return this.#post("workspaces/progress", { workspaces: [{ ...base, ...told }] });
  }

  /** Tells that this node has nothing of any workspace. */
  nothing(): Promise<Answer> {
    return this.#post("workspaces/progress", { all: true, workspaces: [] });
  }

  #post(path: string, body: object): Promise<Answer> {
    return call(this.#world, "POST", `/node/v1/${path}`, {
      node: this.#node.name,
      boot_id: this.#node.bootId,
      ...body,
    });
  }
}
