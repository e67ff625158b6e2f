import type { BigIntStats } from "node:fs";
import { constants } from "node:fs";
import { type FileHandle, lstat, open, readdir, readlink } from "node:fs/promises";
import type { DiffEntry, VersionsDiffer } from "@mags/protocol";

/** A version as it is mounted: the files that a machine sees, and those of them that are not the image's. */
export interface MountedVersion {
  root: string;
  /** undefined: nothing but the image */
  upper: string | undefined;
}

/** Differences that are told one by one. */
const MOST = 10_000;
const PIECE_BYTES = 256 * 1024;
const SLASH = Buffer.from("/");

/**
 * How two versions over the same image differ. Only what either of them has of its own is looked at, so the cost is that of the
 * workspace, not of the image; files that are the same on disk (inode and time of change) are not read. Nothing is followed or
 * opened but regular files: what the volumes hold was written by anybody.
 */
export async function diffVersions(
  from: MountedVersion,
  to: MountedVersion,
  signal: AbortSignal,
): Promise<VersionsDiffer> {
  const found: VersionsDiffer = { added: 0, removed: 0, modified: 0, entries: [], truncated: false };
  const tell = (entry: DiffEntry) => {
    found[entry.change]++;
    if (found.entries.length < MOST) found.entries.push(entry);
    else found.truncated = true;
  };
  await new Comparison(from, to, signal, tell).directory(Buffer.alloc(0));
  return found;
}

type Stats = BigIntStats | undefined;

class Comparison {
  readonly #from: MountedVersion;
  readonly #to: MountedVersion;
  readonly #signal: AbortSignal;
  readonly #tell: (entry: DiffEntry) => void;

  constructor(from: MountedVersion, to: MountedVersion, signal: AbortSignal, tell: (entry: DiffEntry) => void) {
    [this.#from, this.#to, this.#signal, this.#tell] = [from, to, signal, tell];
  }

  /** `path` is that of a directory in both. */
  async directory(path: Buffer): Promise<void> {
    this.#signal.throwIfAborted();
    const names = new Map<string, Buffer>();
    for (const { root } of [this.#from, this.#to])
      for (const name of await readdir(at(root, path), { encoding: "buffer" }))
        names.set(name.toString("latin1"), name);
    for (const key of [...names.keys()].sort())
      await this.#entry(Buffer.concat([path, SLASH, names.get(key) as Buffer]));
  }

  async #entry(path: Buffer): Promise<void> {
    const [before, after] = await Promise.all([look(this.#from.root, path), look(this.#to.root, path)]);
    if (!before || !after) return this.#oneSided(path, before, after);
    const [ownBefore, ownAfter] = await Promise.all([look(this.#from.upper, path), look(this.#to.upper, path)]);
    // The image's in both.
    if (!ownBefore && !ownAfter) return;
    const changed = await this.#changes(path, before, after, same(ownBefore, ownAfter));
    if (changed.length > 0) this.#report("modified", path, before, after, changed);
    if (before.isDirectory() && after.isDirectory()) return this.directory(path);
    if (before.isDirectory()) await this.#below(path, this.#from.root, "removed");
    if (after.isDirectory()) await this.#below(path, this.#to.root, "added");
  }

  async #oneSided(path: Buffer, before: Stats, after: Stats): Promise<void> {
    const stats = after ?? before;
    if (!stats) return;
    const change = after ? "added" : "removed";
    this.#report(change, path, before, after, []);
    if (stats.isDirectory()) await this.#below(path, after ? this.#to.root : this.#from.root, change);
  }

  async #below(path: Buffer, root: string, change: "added" | "removed"): Promise<void> {
    this.#signal.throwIfAborted();
    for (const name of (await readdir(at(root, path), { encoding: "buffer" })).sort(Buffer.compare)) {
      const child = Buffer.concat([path, SLASH, name]);
      const stats = await look(root, child);
      if (change === "added") await this.#oneSided(child, undefined, stats);
      else await this.#oneSided(child, stats, undefined);
    }
  }

  async #changes(path: Buffer, before: BigIntStats, after: BigIntStats, untouched: boolean) {
    if (kindOf(before) !== kindOf(after)) return ["kind" as const];
    const changed: DiffEntry["changed"] = [];
    if (!untouched && (await this.#otherContent(path, before, after))) changed.push("content");
    if ((before.mode & 0o7777n) !== (after.mode & 0o7777n)) changed.push("mode");
    if (before.uid !== after.uid || before.gid !== after.gid) changed.push("owner");
    return changed;
  }

  async #otherContent(path: Buffer, before: BigIntStats, after: BigIntStats): Promise<boolean> {
    const [a, b] = [at(this.#from.root, path), at(this.#to.root, path)];
    if (before.isDirectory()) return false;
    if (before.isSymbolicLink())
      return !(await readlink(a, { encoding: "buffer" })).equals(await readlink(b, { encoding: "buffer" }));
    if (!before.isFile()) return before.rdev !== after.rdev;
    return before.size !== after.size || !(await this.#equal(a, b));
  }

  async #equal(a: Buffer, b: Buffer): Promise<boolean> {
    await using one = await openFile(a);
    await using other = await openFile(b);
    const [left, right] = [Buffer.alloc(PIECE_BYTES), Buffer.alloc(PIECE_BYTES)];
    for (;;) {
      this.#signal.throwIfAborted();
      const [read, readOther] = await Promise.all([fill(one, left), fill(other, right)]);
      if (read !== readOther || !left.subarray(0, read).equals(right.subarray(0, read))) return false;
      if (read < PIECE_BYTES) return true;
    }
  }

  #report(change: DiffEntry["change"], path: Buffer, before: Stats, after: Stats, changed: DiffEntry["changed"]): void {
    this.#tell({
      path: path.toString(),
      change,
      kind: kindOf((after ?? before) as BigIntStats),
      changed,
      bytes_before: before?.isFile() ? Number(before.size) : null,
      bytes_after: after?.isFile() ? Number(after.size) : null,
    });
  }
}

const at = (root: string, path: Buffer): Buffer => Buffer.concat([Buffer.from(root), path]);

async function look(root: string | undefined, path: Buffer): Promise<Stats> {
  if (root === undefined) return undefined;
  return lstat(at(root, path), { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
}

/** One version came of the other and did not touch it since: the time of change is the kernel's alone. */
const same = (a: Stats, b: Stats): boolean =>
  a !== undefined && b !== undefined && a.ino === b.ino && a.ctimeNs === b.ctimeNs && a.size === b.size;

function kindOf(stats: BigIntStats): DiffEntry["kind"] {
  if (stats.isFile()) return "file";
  if (stats.isDirectory()) return "directory";
  return stats.isSymbolicLink() ? "link" : "other";
}

const openFile = (path: Buffer): Promise<FileHandle> => open(path, constants.O_RDONLY | constants.O_NOFOLLOW);

/** Reads until the buffer is full or the file ends. */
async function fill(file: FileHandle, buffer: Buffer): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, null);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}
