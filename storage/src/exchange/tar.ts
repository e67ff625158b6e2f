import { mkdtemp, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { run, spawn, unmount } from "@mags/kit";
import { VersionError } from "../versions/index.ts";
import type { ReflinkStore, Templates } from "../volumes/index.ts";
import { type ExportManifest, Meter } from "./meter.ts";
import { inScratch, type Scratch } from "./scratch.ts";
import { fromLayer, toLayer } from "./whiteouts.ts";

/** Attributes that mean the same everywhere. Those of the overlay itself never come in, nor get out. */
const XATTRS = ["--xattrs", "--xattrs-include=user.*", "--xattrs-include=security.capability", "--acls"];
const FORMAT = ["--format=pax", "--pax-option=delete=atime,delete=ctime", "--sort=name", "--numeric-owner", "--sparse"];

/**
 * Writes the files of the volume `image` (which nobody writes, in `store`) to `output` as a tar that is an OCI layer:
 * what the workspace has changed over the image, deletions as whiteouts, with owners, attributes, links and holes.
 */
export function exportTar(store: ReflinkStore, image: string, output: Writable): Promise<ExportManifest> {
  return withLayer(store, image, async (upper) => {
    const meter = new Meter();
    await pipeline(tarOf(upper), meter, output);
    return meter.manifest("tar");
  });
}

/** Gives `work` the directory of an OCI layer's files, made of a copy of the volume. */
export function withLayer<T>(
  store: ReflinkStore,
  image: string,
  work: (upper: string, dir: string) => Promise<T>,
): Promise<T> {
  return inScratch(store, async ({ dir, mount }) => {
    const copy = join(dir, "volume");
    store.clone(image, copy);
    const upper = join(await mount(copy), "upper");
    toLayer(upper);
    return work(upper, dir);
  });
}

/** A directory as a tar; fails when tar does. */
export async function* tarOf(directory: string): AsyncGenerator<Uint8Array> {
  const tar = spawn("tar", ["--create", ...FORMAT, ...XATTRS, "-C", directory, "."], {
    buffer: { stdout: false },
    reject: false,
  });
  try {
    yield* tar.iterable({ binary: true });
  } finally {
    // Also where the reader has gone.
    tar.kill();
  }
  const end = await tar;
  if (end.failed) throw new Error(`tar failed: ${end.stderr.slice(-1000) || end.message}`);
}

/**
 * Makes the volume `to` (new, of `diskGb` GiB) with the files of a tar, which may come from anybody: it is unpacked by a
 * process that sees nothing but this volume and the machine's programs, with the rights to set owners and modes and no
 * others. Throws VersionError `invalid` for what is no tar or holds devices, or `damaged` when it is not as `expected`; then there
 * is no volume.
 */
export function importTar(
  store: ReflinkStore,
  templates: Templates,
  input: Readable,
  to: string,
  diskGb: number,
  expected?: Pick<ExportManifest, "sha256">,
): Promise<void> {
  return inScratch(store, async (scratch) => {
    const meter = new Meter();
    const image = await layerVolume(scratch, templates, input, diskGb, meter);
    meter.check(expected);
    await rename(image, to);
  });
}

/** Makes a volume with the files of an OCI layer in a scratch directory; answers where. Throws as `importTar`. */
export async function layerVolume(
  { dir, mount }: Scratch,
  templates: Templates,
  layer: Readable,
  diskGb: number,
  meter: Meter,
): Promise<string> {
  const image = join(dir, "volume");
  await templates.create(image, diskGb, "journaled");
  const mounted = await mount(image);
  const upper = join(mounted, "upper");
  await unpack(layer, meter, upper, dir);
  fromLayer(upper);
  await run("sync", ["-f", mounted]);
  unmount(mounted);
  return image;
}

/**
 * Runs in namespaces of its own: makes a root of nothing but the machine's programs and, at /volume, the directory, and goes
 * on there as tar. `umount` needs /proc, which goes last: whoever is root may write settings of the kernel there.
 */
const CONFINED = `set -e
mount -t tmpfs -o size=1m,mode=755 root "$1"
cd "$1"
mkdir usr volume old proc
for name in bin lib lib32 lib64 libx32 sbin; do if [ -h "/$name" ]; then cp -P "/$name" .; fi; done
mount --rbind /usr usr
mount -o remount,bind,ro usr
mount --bind "$2" volume
mount -t proc proc proc
pivot_root . old
cd /
umount -l /old
umount -l /proc
rmdir old proc
mount -o remount,ro /
shift 2
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+setfcap "$@"`;
const NAMESPACES = ["--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts"];

/** Unpacks a tar from anybody into a directory, by a process that sees nothing else; `scratch` is for its root. */
export async function unpack(input: Readable, meter: Meter, upper: string, scratch: string): Promise<void> {
  const root = await mkdtemp(join(scratch, "root-"));
  const extract = ["tar", "--extract", "-C", "/volume", "--numeric-owner", "--same-owner", "--preserve-permissions"];
  const args = [...NAMESPACES, "sh", "-c", CONFINED, "sh", root, upper, ...extract, ...XATTRS];
  const tar = spawn("unshare", args, { stdin: "pipe", reject: false });
  const [fed, end] = await Promise.allSettled([pipeline(input, meter, tar.stdin), tar]);
  if (end.status === "rejected") throw end.reason;
  // A tar that has ended early closes the pipe; any other failure is the sender's.
  const gone = fed.status === "rejected" && (fed.reason as NodeJS.ErrnoException).code === "EPIPE";
  if (fed.status === "rejected" && !gone) throw fed.reason;
  if (end.value.failed || gone) {
    throw new VersionError("invalid", `the archive cannot be unpacked: ${end.value.stderr.slice(0, 1000)}`);
  }
}
