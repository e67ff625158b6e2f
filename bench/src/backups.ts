import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "@mags/kit";
import {
  type ChunkIndex,
  fetchManifest,
  hasChanged,
  type KnownVersion,
  openObjectStore,
  type ReflinkStore,
  restore,
  snapshot,
  type Upload,
  upload,
} from "@mags/storage";

/** Something that keeps copies of a directory that changes. */
export interface Backup {
  name: string;
  /** Keeps what is there now; afterwards it is in the store. */
  keep(): Promise<void>;
  /** Brings back what was kept last. */
  bringBack(): Promise<void>;
}

/** What is kept: a volume, where it is mounted, and a directory of its own for each that keeps it. */
export interface Subject {
  store: ReflinkStore;
  volume: string;
  mountedAt: string;
  /** of the files, within the mount */
  files: string;
  dir: string;
}

/** Mags' way, as the agent takes it, without the server: an index of chunks in memory takes its place. */
export async function versions(
  subject: Subject,
): Promise<Backup & { frozenMs: number[]; unchanged(): Promise<boolean> }> {
  const { store, volume, mountedAt, dir } = subject;
  const objects = await openObjectStore({ kind: "directory", path: join(dir, "objects") });
  await objects.check();
  const ctx = { objects, org: "bench" };
  const index = new Index();
  const frozenMs: number[] = [];
  let parent: (KnownVersion & { path: string; name: string }) | undefined;
  let count = 0;
  const keep = async () => {
    const path = join(store.path, `version-${count++}.ext4`);
    frozenMs.push((await snapshot(store, volume, mountedAt, path)).frozenMs);
    const made = await upload(path, parent, index, ctx);
    if (!made) return rm(path);
    index.commit(made);
    if (parent) await rm(parent.path);
    parent = { manifest: made.manifest, path, name: made.name };
  };
  const bringBack = async () => {
    const path = join(store.path, "restored.ext4");
    await rm(path, { force: true });
    await restore(await fetchManifest(parent?.name ?? "", ctx), path, undefined, ctx);
  };
  return {
    name: "mags",
    keep,
    bringBack,
    frozenMs,
    unchanged: async () => !(await hasChanged(volume, mountedAt, parent?.path ?? "")),
  };
}

/** Which chunks there are, as the server keeps it. */
class Index implements ChunkIndex {
  readonly #stored = new Set<string>();

  async claim(chunks: { hash: string }[]) {
    return chunks.map(({ hash }) => ({ hash, epoch: 1, missing: !this.#stored.has(hash) }));
  }

  commit({ stored }: Upload): void {
    for (const { hash } of stored) this.#stored.add(hash);
  }
}

/** restic of Debian, into a repository in a directory. */
export async function restic({ files, dir }: Subject): Promise<Backup> {
  const env = {
    RESTIC_REPOSITORY: join(dir, "restic"),
    RESTIC_PASSWORD: "bench",
    RESTIC_CACHE_DIR: join(dir, "cache"),
  };
  const target = join(dir, "restic-restored");
  await run("sh", ["-c", "command -v restic zstd"]).catch(() => {
    throw new Error("the comparison needs two of Debian's packages: apt-get install restic zstd");
  });
  await run("restic", ["init", "-q"], { env });
  return {
    name: "restic",
    keep: async () => void (await run("restic", ["backup", "-q", files], { env })),
    bringBack: async () => {
      await rm(target, { recursive: true, force: true });
      await run("restic", ["restore", "-q", "latest", "--target", target], { env });
      await run("sync", ["-f", target]);
    },
  };
}

/** A whole archive each time, with the compression that Mags uses. */
export async function tarZstd({ files, dir }: Subject): Promise<Backup> {
  const archive = join(dir, "archive.tar.zst");
  const target = join(dir, "tar-restored");
  return {
    name: "tar | zstd",
    keep: async () => {
      await run("sh", ["-ec", 'tar -c -C "$1" . | zstd -q -1 -T0 -f -o "$2"; sync "$2"', "sh", files, archive]);
    },
    bringBack: async () => {
      await rm(target, { recursive: true, force: true });
      await mkdir(target);
      await run("sh", ["-ec", 'zstd -q -dc "$1" | tar -x -C "$2"; sync -f "$2"', "sh", archive, target]);
    },
  };
}

/** Nothing of what was read or written before is in memory afterwards. */
export async function coldCaches(): Promise<void> {
  await run("sync");
  await writeFile("/proc/sys/vm/drop_caches", "3");
}
