/** What two versions differ in, seen through real volumes over an image. */
import { chmod, chown, cp, mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Cleanup, createLogger, mount, mountImage, run, unmount } from "@mags/kit";
import { ReflinkStore, Templates } from "@mags/storage";
import { afterAll, beforeAll, expect, test } from "vitest";
import { diffVersions, type MountedVersion } from "./diff.ts";
import { mountVersion } from "./mounted.ts";

const cleanup = new Cleanup();
const never = new AbortController().signal;
let dir: string;
let store: ReflinkStore;
const at = (name: string) => join(dir, name);
const volume = (name: string) => join(store.path, `${name}.ext4`);

beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-diff-");
  cleanup.add("directory", () => rm(dir, { recursive: true, force: true }));
  store = await ReflinkStore.open({ dir: at("store"), logger: createLogger("silent") });
  cleanup.add("store", () => store.close());
  for (const name of ["image/etc", "image/opt/old", "disk", "root", "scratch"])
    await mkdir(at(name), { recursive: true });
  for (const name of ["etc/kept", "etc/edited", "etc/gone", "opt/old/file"])
    await writeFile(at(`image/${name}`), "image");
  await new Templates(store).create(volume("one"), 0.1, "journaled");
  await inMachine("one", async (root) => {
    await mkdir(join(root, "srv"));
    for (const name of ["same", "touched", "edited", "grown", "mode", "removed"])
      await writeFile(join(root, "srv", name), "1234");
    await mkdir(join(root, "srv/tree/below"), { recursive: true });
    await writeFile(join(root, "srv/tree/below/leaf"), "leaf");
    await symlink("old", join(root, "srv/link"));
  });
  store.clone(volume("one"), volume("two"));
  await inMachine("two", async (root) => {
    const own = (name: string) => join(root, "srv", name);
    await utimes(own("touched"), 1, 1);
    await writeFile(own("edited"), "4321");
    await writeFile(own("grown"), "12345");
    await chmod(own("mode"), 0o700);
    await chown(own("mode"), 7, 8);
    await rm(own("removed"));
    await rm(own("tree"), { recursive: true });
    await rm(own("link"));
    await symlink("new", own("link"));
    await rename(own("same"), own("renamed"));
    await rename(own("renamed"), own("same"));
    await mkdir(own("new"));
    await writeFile(own("new/file"), "new");
    await writeFile(Buffer.concat([Buffer.from(own("f")), Buffer.from([0xff])]), "name that is no text");
    await run("mkfifo", [own("pipe")]);
    await writeFile(join(root, "etc/edited"), "other");
    await rm(join(root, "etc/gone"));
    await rm(join(root, "opt/old"), { recursive: true });
    await mkdir(join(root, "opt/old"));
  });
});
afterAll(() => cleanup.run());

/** Changes the files of a volume as a machine does it. */
async function inMachine(name: string, change: (root: string) => Promise<void>): Promise<void> {
  mountImage("ext4", volume(name), at("disk"));
  mount("overlay", "o", at("root"), `lowerdir=${at("image")},upperdir=${at("disk")}/upper,workdir=${at("disk")}/work`);
  try {
    await change(at("root"));
  } finally {
    unmount(at("root"));
    unmount(at("disk"));
  }
}

async function difference(from: string | undefined, to: string) {
  const mounted = new Cleanup();
  try {
    const open = (name: string, side: string) =>
      mountVersion(store, volume(name), at("image"), join(store.path, side), mounted);
    const before: MountedVersion = from ? await open(from, "from") : { root: at("image"), upper: undefined };
    return await diffVersions(before, await open(to, "to"), never);
  } finally {
    await mounted.run();
  }
}

const lines = ({ entries }: Awaited<ReturnType<typeof difference>>) =>
  entries.map(({ path, change, kind, changed }) => [change, kind, path, ...changed].join(" "));

test("added, removed and modified are told apart, with what was modified; what was only touched or moved back is the same", async () => {
  const found = await difference("one", "two");
  expect(lines(found)).toEqual([
    "modified file /etc/edited content",
    "removed file /etc/gone",
    "removed file /opt/old/file",
    "modified file /srv/edited content",
    "added file /srv/f\u{fffd}",
    "modified file /srv/grown content",
    "modified link /srv/link content",
    "modified file /srv/mode mode owner",
    "added directory /srv/new",
    "added file /srv/new/file",
    "added other /srv/pipe",
    "removed file /srv/removed",
    "removed directory /srv/tree",
    "removed directory /srv/tree/below",
    "removed file /srv/tree/below/leaf",
  ]);
  expect(found).toMatchObject({ added: 4, removed: 6, modified: 5, truncated: false });
  expect(found.entries.find(({ path }) => path === "/srv/grown")).toMatchObject({ bytes_before: 4, bytes_after: 5 });
});

test("the other way round what was added was removed", async () => {
  expect(await difference("two", "one")).toMatchObject({ added: 6, removed: 4, modified: 5 });
});

test("a version is the same as itself, and as a copy of its files with other inodes", async () => {
  expect((await difference("two", "two")).entries).toEqual([]);
  await new Templates(store).create(volume("copy"), 0.1, "journaled");
  await inMachine("one", async (root) => cp(join(root, "srv"), at("srv"), { recursive: true, verbatimSymlinks: true }));
  await inMachine("copy", async (root) =>
    cp(at("srv"), join(root, "srv"), { recursive: true, verbatimSymlinks: true }),
  );
  expect(lines(await difference("one", "copy"))).toEqual([]);
});

test("beside the image alone everything of the workspace is its own", async () => {
  expect(await difference(undefined, "one")).toMatchObject({ added: 11, removed: 0, modified: 0 });
});
