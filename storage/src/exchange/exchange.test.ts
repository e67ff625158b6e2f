/** Workspaces out and in: as a tar, as a file system, as an image that podman runs. */
import { createReadStream, createWriteStream, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { getXattr, mount, run, setXattr, unmount } from "@mags/kit";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { randomBytesOf, writeAt } from "../versions/testing/bytes.ts";
import { makeWorld, type World } from "../versions/testing/world.ts";
import { exportExt4, exportOci, exportTar, importExt4, importOci, importTar } from "./index.ts";

const MiB = 1024 ** 2;
let world: World;
let undo: (() => void)[];
let lower: string;
let overlays = 0;
beforeEach(async () => {
  world = await makeWorld();
  undo = [];
  lower = join(world.dir, "lower");
  await mkdir(join(lower, "etc"), { recursive: true });
  await mkdir(join(lower, "gone"));
  await mkdir(join(lower, "replaced"));
  for (const name of ["etc/kept", "etc/deleted", "gone/file", "replaced/old"]) writeFileSync(join(lower, name), name);
  await world.templates.create(world.at("volume"), 0.25, "journaled");
});
afterEach(async () => {
  for (const step of undo.reverse()) step();
  await world.close();
});

/** The volume as a sandbox sees it, over the lower directory. */
async function overlay(volume: string): Promise<string> {
  const disk = await world.mount(volume);
  const root = join(world.dir, `root-${overlays++}`);
  await mkdir(root);
  mount("overlay", "test", root, `lowerdir=${lower},upperdir=${disk}/upper,workdir=${disk}/work`);
  undo.push(() => unmount(root));
  return root;
}

/** Fills the volume with what a file system can hold, and leaves it unmounted. */
async function fill(): Promise<void> {
  const root = await overlay(world.at("volume"));
  const script = `set -e
    rm etc/deleted; rm -r gone; rm -r replaced; mkdir replaced; echo new > replaced/new
    mkdir -p deep/er; echo content > deep/er/file; ln deep/er/file hard; ln -s /etc/passwd absolute; ln -s ../x relative
    chown 1000:2000 deep/er/file; chown -h 5:6 absolute; chmod 4711 deep/er/file; chmod 700 deep; touch -d 2001-02-03 deep/er
    truncate -s 20M sparse; printf end >> sparse; mkfifo pipe; printf x > "$(printf 'n\\303\\244me \\377\\n\\\\')"; mkdir empty; : > nothing
    echo mode > 'with space'; echo dash > -- -dash; echo wh > .whatever`;
  await run("sh", ["-c", script], { cwd: root });
  setXattr(Buffer.from(join(root, "hard")), "user.note", "kept");
  for (const step of undo.splice(0).reverse()) step();
  await run("sync");
  for (const name of readdirSync(world.dir)) if (name.startsWith("mnt-")) unmount(join(world.dir, name));
}

/** All that a program could tell of a tree. */
async function describeTree(root: string): Promise<string> {
  const listing =
    "find . -type d -printf '%p|d|%m|%U|%G|%TY-%Tm-%Td\\n' -o -printf '%p|%y|%m|%U|%G|%l|%n|%TY-%Tm-%Td\\n' | LC_ALL=C sort";
  const sums = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum";
  const note = getXattr(Buffer.from(join(root, "hard")), "user.note");
  return [await run("sh", ["-c", listing], { cwd: root }), await run("sh", ["-c", sums], { cwd: root }), note].join(
    "\n",
  );
}

describe("tar", () => {
  const tarPath = () => join(world.dir, "export.tar");
  const exported = () => exportTar(world.store, world.at("volume"), createWriteStream(tarPath()));
  const imported = (input: Readable, expected?: Parameters<typeof importTar>[5]) =>
    importTar(world.store, world.templates, input, world.at("imported"), 0.25, expected);

  test("what is exported and imported looks the same over the same image: files, links, owners, attributes, deletions", async () => {
    await fill();
    const before = readFileSync(world.at("volume"));
    const manifest = await exported();
    expect(readFileSync(world.at("volume")).equals(before)).toBe(true);
    expect(manifest).toMatchObject({ kind: "tar", bytes: readFileSync(tarPath()).length });
    // The 20 MiB of holes are no bytes of the archive.
    expect(manifest.bytes).toBeLessThan(2 * MiB);
    const names = (await run("tar", ["-tf", tarPath()])).split("\n");
    for (const name of ["./etc/.wh.deleted", "./.wh.gone", "./replaced/.wh..wh..opq"]) expect(names).toContain(name);
    await imported(createReadStream(tarPath()), manifest);
    const trees = [await overlay(world.at("volume")), await overlay(world.at("imported"))].map(describeTree);
    const [original, copy] = await Promise.all(trees);
    expect(copy).toBe(original);
    expect(copy).toMatch(/\nkept$/);
    expect(readdirSync(world.store.path).sort()).toEqual(["imported", "templates", "volume"]);
  });

  test("an archive that is not as its manifest says is refused, and there is no volume", async () => {
    await fill();
    const manifest = await exported();
    const damaged = readFileSync(tarPath());
    damaged[damaged.indexOf("content\n")] = 0x58;
    const error = { name: "VersionError", code: "damaged" };
    await expect(imported(Readable.from([damaged]), manifest)).rejects.toMatchObject(error);
    const cut = Readable.from([damaged.subarray(0, damaged.length - 512)]);
    await expect(imported(cut, manifest)).rejects.toMatchObject({ name: "VersionError" });
    expect(readdirSync(world.store.path).sort()).toEqual(["templates", "volume"]);
  });

  test.each([
    ["no tar", "This does not look like a tar archive", async () => randomBytesOf(10_000)],
    ["a device", "Cannot mknod", async (dir: string) => pack(dir, "mknod null c 1 3", "null")],
    ["a disk", "Cannot mknod", async (dir: string) => pack(dir, "mknod sda b 8 0", "sda")],
    [
      "names that lead out",
      "Member name contains",
      async (dir: string) => pack(dir, "mkdir in; echo x > out", "-P", "-C", "in", "../out"),
    ],
    ["a whiteout of its directory", "whiteout named", async (dir: string) => pack(dir, "echo x > .wh...", ".wh...")],
    ["more than fits", "big: ", async (dir: string) => pack(dir, "head -c 300M /dev/urandom > big", "big")],
  ])("an archive with %s is refused, with nothing left", async (_, reason, make) => {
    const archive = await make(await directory());
    const refused = { name: "VersionError", code: "invalid", message: expect.stringContaining(reason) };
    await expect(imported(Readable.from(pieces(archive)))).rejects.toMatchObject(refused);
    expect(readdirSync(world.store.path).filter((name) => name !== "templates")).toEqual(["volume"]);
  });

  test("a tar's links lead nowhere on this machine, in whatever order they come", async () => {
    const victim = join(world.dir, "victim");
    await mkdir(victim);
    const dir = await directory();
    const script = `set -e
      ln -s ${victim} link; tar -cf evil.tar link; rm link
      mkdir link; echo evil > link/file; tar -rf evil.tar link/file; rm -r link
      echo evil > abs; tar -rPf evil.tar --transform 's|^abs|${victim}/abs|' abs
      echo x > target; ln target other; tar -rPf evil.tar --transform 's|^target|${victim}/file|' target other`;
    await run("sh", ["-c", script], { cwd: dir });
    const result = await imported(createReadStream(join(dir, "evil.tar"))).then(
      () => "imported",
      ({ code }: { code: string }) => code,
    );
    expect(["imported", "invalid"]).toContain(result);
    expect(readdirSync(victim)).toEqual([]);
  });

  test("attributes by which an overlay would be led elsewhere do not come in", async () => {
    const dir = await directory();
    await mkdir(join(dir, "redirected"));
    setXattr(Buffer.from(join(dir, "redirected")), "trusted.overlay.redirect", "/etc");
    await run("tar", ["-cf", "a.tar", "--xattrs", "--xattrs-include=*", "redirected"], { cwd: dir });
    expect(readFileSync(join(dir, "a.tar")).includes("trusted.overlay.redirect")).toBe(true);
    await imported(createReadStream(join(dir, "a.tar")));
    const disk = await world.mount(world.at("imported"));
    expect(getXattr(Buffer.from(join(disk, "upper", "redirected")), "trusted.overlay.redirect")).toBeUndefined();
  });

  test("a sender that breaks off is an error of its own", async () => {
    async function* broken() {
      yield randomBytesOf(0);
      throw new Error("gone away");
    }
    await expect(imported(Readable.from(broken()))).rejects.toThrow("gone away");
    expect(existsSync(world.at("imported"))).toBe(false);
  });
});

describe("ext4", () => {
  const imported = (input: Readable, expected?: Parameters<typeof importExt4>[4]) =>
    importExt4(world.store, input, world.at("imported"), 300 * MiB, expected);

  test("a volume that is exported is imported byte for byte, with its holes", async () => {
    await fill();
    await run("e2fsck", ["-fp", world.at("volume")]).catch(() => undefined);
    const file = join(world.dir, "export.ext4");
    const manifest = await exportExt4(world.at("volume"), createWriteStream(file));
    await imported(createReadStream(file), manifest);
    const trees = [await overlay(world.at("volume")), await overlay(world.at("imported"))].map(describeTree);
    const [original, copy] = await Promise.all(trees);
    expect(copy).toBe(original);
    const used = async (path: string) => Number(await run("stat", ["-c", "%b", path]));
    expect(await used(world.at("imported"))).toBeLessThan((await used(world.at("volume"))) + 8192);
  });

  const volume = () => readFileSync(world.at("volume"));
  test.each<[string, () => Promise<Buffer> | Buffer]>([
    ["that is none", () => randomBytesOf(5 * MiB)],
    ["that is empty", () => Buffer.alloc(0)],
    ["that is too large", () => Buffer.alloc(301 * MiB)],
    ["with a root directory that is damaged", () => damagedVolume()],
    ["that is cut", () => volume().subarray(0, 100 * MiB)],
    ["that is no volume of Mags", () => foreign([])],
    ["with features that Mags does not use", () => foreign(["-O", "encrypt"])],
    ["with its journal elsewhere", () => foreign(["-O", "journal_dev"])],
  ])("a file system %s is refused, with nothing left", async (_, make) => {
    const image = await make();
    await expect(imported(Readable.from(pieces(image)))).rejects.toMatchObject({
      name: "VersionError",
      code: "invalid",
    });
    expect(readdirSync(world.store.path).filter((name) => name !== "templates")).toEqual(["volume"]);
  });

  async function damagedVolume(): Promise<Buffer> {
    await fill();
    const table = /Inode table at (\d+)/.exec(await run("dumpe2fs", [world.at("volume")]))?.[1];
    const size = /Block size: +(\d+)/.exec(await run("dumpe2fs", ["-h", world.at("volume")]))?.[1];
    writeAt(world.at("volume"), Number(table) * Number(size), Buffer.alloc(4096, 0xa5));
    return volume();
  }

  async function foreign(options: string[]): Promise<Buffer> {
    const path = join(world.dir, "foreign.ext4");
    await run("mkfs.ext4", ["-q", "-F", ...options, path, "64m"]);
    return readFileSync(path);
  }
});

test("an OCI image is what podman sees of image and workspace together", { timeout: 120_000 }, async () => {
  await fill();
  const archive = join(world.dir, "image.tar");
  const manifest = await exportOci(world.store, world.at("volume"), lower, "mags/test:1", createWriteStream(archive));
  expect(manifest).toMatchObject({ kind: "oci", bytes: readFileSync(archive).length });
  const state = await directory();
  const podman = (...args: string[]) =>
    run("podman", ["--root", `${state}/root`, "--runroot", `${state}/run`, "--storage-driver", "vfs", ...args]);
  const image = (await podman("pull", "-q", `oci-archive:${archive}`)).trim();
  const mounted = await podman("image", "mount", image);
  try {
    const [original, copy] = await Promise.all([await overlay(world.at("volume")), mounted].map(describeTree));
    const lines = (text: string) => text.split("\n").filter((line) => !line.startsWith(".|"));
    expect(lines(copy as string)).toEqual(lines(original as string));
  } finally {
    await podman("image", "unmount", image);
    await podman("rmi", "-f", image);
  }
});

describe("OCI archives", () => {
  const archive = () => join(world.dir, "image.tar");
  const imported = (input: Readable, expected?: Parameters<typeof importOci>[5]) =>
    importOci(world.store, world.templates, input, world.at("imported"), 0.25, expected);
  const exported = () => exportOci(world.store, world.at("volume"), lower, "demo", createWriteStream(archive()));

  test("one that is exported and imported looks the same over the same image", async () => {
    await fill();
    const manifest = await exported();
    await imported(createReadStream(archive()), manifest);
    const trees = [await overlay(world.at("volume")), await overlay(world.at("imported"))].map(describeTree);
    const [original, copy] = await Promise.all(trees);
    expect(copy).toBe(original);
    expect(readdirSync(world.store.path).sort()).toEqual(["imported", "templates", "volume"]);
  });

  test.each([
    ["that is no tar", "invalid", async () => randomBytesOf(10_000)],
    ["of anything else", "invalid", async (dir: string) => pack(dir, "echo x > file", "file")],
    [
      "with an object that was changed",
      "damaged",
      async (dir: string) => changed(dir, "truncate -s -1 $(ls -S blobs/sha256/* | head -1)"),
    ],
    [
      "whose objects lie elsewhere",
      "invalid",
      async (dir: string) => changed(dir, `mv blobs ${dir}-moved; ln -s ${dir}-moved blobs`),
    ],
    ["that another program has made", "invalid", async (dir: string) => changed(dir, `python3 -c '${FOREIGN}'`)],
  ])("an archive %s is refused, with nothing left", async (_, code, make) => {
    const bytes = await make(await directory());
    await expect(imported(Readable.from(pieces(bytes)))).rejects.toMatchObject({ name: "VersionError", code });
    expect(readdirSync(world.store.path).filter((name) => name !== "templates")).toEqual(["volume"]);
  });

  /** An archive of ours after a change to its files. */
  async function changed(dir: string, script: string): Promise<Buffer> {
    await exported();
    await run("tar", ["-xf", archive(), "-C", dir]);
    return pack(dir, `set -e; ${script}`, ".");
  }
});

/** Writes the image's configuration and manifest anew, without the history that tells whose it is. */
const FOREIGN = `
import json, hashlib
index = json.load(open("index.json"))
blob = lambda d: "blobs/" + d["digest"].replace(":", "/")
def put(value):
    data = json.dumps(value).encode()
    digest = hashlib.sha256(data).hexdigest()
    open("blobs/sha256/" + digest, "wb").write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}
manifest = json.load(open(blob(index["manifests"][0])))
config = json.load(open(blob(manifest["config"])))
del config["history"]
manifest["config"].update(put(config))
index["manifests"][0].update(put(manifest))
json.dump(index, open("index.json", "w"))
`;

let directories = 0;
async function directory(): Promise<string> {
  const path = join(world.dir, `dir-${directories++}`);
  await mkdir(path);
  return path;
}

async function pack(dir: string, script: string, ...args: string[]): Promise<Buffer> {
  await run("sh", ["-c", script], { cwd: dir });
  const path = join(world.dir, "made.tar");
  await run("tar", ["-cf", path, ...args], { cwd: dir });
  return readFileSync(path);
}

function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += MiB) yield bytes.subarray(at, at + MiB);
}
