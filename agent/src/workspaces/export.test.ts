/** What is exported is read by the tools that it is meant for: tar, e2fsck, podman. */
import { createWriteStream } from "node:fs";
import {
  chown,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { Cleanup, createLogger, mount, mountImage, run, unmount } from "@mags/kit";
import { ReflinkStore, Templates } from "@mags/storage";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Exported, exportVolume } from "./export.ts";

const cleanup = new Cleanup();
let dir: string;
let exported: Omit<Exported, "format">;

/** A volume over an image with `/etc/kept`, `/etc/gone` and `/opt/old/file`, changed as a machine does it. */
beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-export-");
  cleanup.add("directory", () => rm(dir, { recursive: true, force: true }));
  const at = (name: string) => join(dir, name);
  const store = await ReflinkStore.open({ dir: at("store"), logger: createLogger("silent") });
  cleanup.add("store", () => store.close());
  for (const name of ["image/etc", "image/opt/old", "disk", "root"]) await mkdir(at(name), { recursive: true });
  await writeFile(at("image/etc/kept"), "image");
  await writeFile(at("image/etc/gone"), "image");
  await writeFile(at("image/opt/old/file"), "image");
  const volume = join(store.path, "volume.ext4");
  await new Templates(store).create(volume, 0.1, "journaled");
  mountImage("ext4", volume, at("disk"));
  mount("overlay", "o", at("root"), `lowerdir=${at("image")},upperdir=${at("disk")}/upper,workdir=${at("disk")}/work`);
  await change(at("root"));
  unmount(at("root"));
  unmount(at("disk"));
  const scratch = join(store.path, "scratch");
  await mkdir(scratch);
  exported = { name: "demo", volume, rootfs: at("image"), store, dir: scratch };
});
afterAll(() => cleanup.run());

async function change(root: string): Promise<void> {
  const at = (name: string) => join(root, name);
  await mkdir(at("srv"));
  await writeFile(at("srv/own"), "of the workspace");
  await chown(at("srv/own"), 1000, 1001);
  await link(at("srv/own"), at("srv/same"));
  await symlink("/etc/passwd", at("srv/link"));
  await writeFile(Buffer.concat([Buffer.from(at("srv/")), Buffer.from([0x66, 0xff])]), "name that is no text");
  await rm(at("etc/gone"));
  await rm(at("opt/old"), { recursive: true });
  await mkdir(at("opt/old"));
}

async function exportTo(name: string, format: Exported["format"]): Promise<string> {
  const path = join(dir, name);
  await pipeline(await exportVolume({ ...exported, format }), createWriteStream(path));
  return path;
}

test("a tar has the workspace's own files, and marks of what it has deleted of its image", async () => {
  const archive = await exportTo("own.tar", "tar");
  const out = join(dir, "out");
  await mkdir(out);
  await run("tar", ["-x", "--xattrs", "--xattrs-include=*", "-C", out, "-f", archive]);
  expect((await readdir(join(out, "etc"))).sort()).toEqual([".wh.gone"]);
  expect(await readdir(join(out, "opt/old"))).toEqual([".wh..wh..opq"]);
  expect(await readFile(join(out, "srv/own"), "utf8")).toBe("of the workspace");
  const own = await stat(join(out, "srv/own"));
  expect([own.uid, own.gid, own.nlink]).toEqual([1000, 1001, 2]);
  expect(await readlink(join(out, "srv/link"))).toBe("/etc/passwd");
  expect(await readdir(join(out, "srv"), { encoding: "buffer" })).toContainEqual(Buffer.from([0x66, 0xff]));
});

test("a raw disk is the volume, byte for byte", async () => {
  const copy = await exportTo("raw.ext4", "ext4");
  await run("cmp", [copy, exported.volume]);
  await run("e2fsck", ["-fn", copy]);
});

test("podman loads the OCI image, and its files are those that a machine sees", async () => {
  const archive = await exportTo("image.tar", "oci");
  const store = ["--root", join(dir, "podman"), "--runroot", join(dir, "podman-run"), "--storage-driver", "vfs"];
  await run("podman", [...store, "load", "-q", "-i", archive]);
  const root = await run("podman", [...store, "image", "mount", "localhost/demo"]);
  try {
    expect((await readdir(join(root, "etc"))).sort()).toEqual(["kept"]);
    expect(await readdir(join(root, "opt/old"))).toEqual([]);
    expect((await readdir(join(root, "srv"))).length).toBe(4);
  } finally {
    await run("podman", [...store, "image", "umount", "-a"]);
  }
});

test("nothing of an export is left, also when its reader leaves", async () => {
  const stream = await exportVolume({ ...exported, format: "tar" });
  stream.destroy();
  await expect.poll(() => readdir(exported.dir)).toEqual([]);
});

test("a stream that could not be made whole fails", async () => {
  const stream = await exportVolume({ ...exported, format: "tar" });
  const [name] = (await readdir(exported.dir)).filter((each) => each.endsWith(".mnt"));
  await rm(join(exported.dir, name as string, "upper"), { recursive: true });
  await expect(pipeline(stream, createWriteStream("/dev/null"))).rejects.toThrow("could not read everything");
});
