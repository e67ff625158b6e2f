import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Header, type HeaderData } from "tar";
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import { unpackInto } from "../src/unpack.ts";

let dir: string;
let target: string;
const said = vi.spyOn(process.stderr, "write").mockImplementation(() => true);
beforeEach(async () => {
  dir = await mkdtemp("/tmp/mags-unpack-");
  target = join(dir, "target");
  await writeFile(join(dir, "outside"), "untouched");
});
afterEach(async () => {
  said.mockClear();
  await rm(dir, { recursive: true });
});
afterAll(() => said.mockRestore());

/** An archive of these entries as they are, whatever a decent program would make of them. */
async function* archive(...entries: (HeaderData & { content?: string })[]) {
  for (const { content = "", ...entry } of entries) {
    const block = Buffer.alloc(512);
    new Header({ mode: 0o644, type: "File", uid: 0, gid: 0, mtime: new Date(), ...entry, size: content.length }).encode(
      block,
    );
    yield block;
    yield Buffer.from(content.padEnd(Math.ceil(content.length / 512) * 512, "\0"));
  }
  yield Buffer.alloc(1024);
}

const complaints = () => said.mock.calls.map(([line]) => String(line)).join("");

test("a tree comes out as it was packed, with links that stay inside and programs that may be run", async () => {
  await unpackInto(
    archive(
      { path: "./", type: "Directory", mode: 0o755 },
      { path: "./sub/", type: "Directory", mode: 0o755 },
      { path: "./sub/run", content: "#!/bin/sh", mode: 0o755 },
      { path: "./link", type: "SymbolicLink", linkpath: "sub/run" },
      { path: "./sub/up", type: "SymbolicLink", linkpath: "../sub/run" },
      { path: "./hard", type: "Link", linkpath: "./sub/run" },
    ),
    target,
  );
  expect(await readFile(join(target, "link"), "utf8")).toBe("#!/bin/sh");
  expect(await readlink(join(target, "sub/up"))).toBe("../sub/run");
  expect(await readFile(join(target, "hard"), "utf8")).toBe("#!/bin/sh");
  expect((await stat(join(target, "sub/run"))).mode & 0o777).toBe(0o755);
  expect(complaints()).toBe("");
});

test("names that lead out end inside or nowhere", async () => {
  await unpackInto(
    archive(
      { path: "../outside", content: "hostile" },
      { path: "sub/../../outside", content: "hostile" },
      { path: join(dir, "outside"), content: "hostile" },
      { path: "good", content: "good" },
    ),
    target,
  );
  expect(await readFile(join(dir, "outside"), "utf8")).toBe("untouched");
  expect((await readdir(dir)).sort()).toEqual(["outside", "target"]);
  expect(await readFile(join(target, "good"), "utf8")).toBe("good");
});

test("links that lead out are left out, and nothing is written through links, also not through those of an earlier copy", async () => {
  await mkdir(target);
  await symlink(dir, join(target, "old"));
  await symlink(join(dir, "outside"), join(target, "file"));
  await unpackInto(
    archive(
      { path: "abs", type: "SymbolicLink", linkpath: "/etc/passwd" },
      { path: "rel", type: "SymbolicLink", linkpath: "../outside" },
      { path: "p/", type: "Directory", mode: 0o755 },
      { path: "p/s", type: "SymbolicLink", linkpath: ".." },
      { path: "chain", type: "SymbolicLink", linkpath: "p/s/.." },
      { path: "p/s/through", content: "hostile" },
      { path: "old/outside", content: "hostile" },
      { path: "file", content: "inside now" },
      { path: "hard", type: "Link", linkpath: "../outside" },
    ),
    target,
  );
  expect(await readFile(join(dir, "outside"), "utf8")).toBe("untouched");
  expect(await readFile(join(target, "file"), "utf8")).toBe("inside now");
  expect((await readdir(target)).sort()).toEqual(["file", "old", "p"]);
  for (const name of ["abs", "rel", "chain", "old/outside", "p/s/through"])
    expect(complaints()).toContain(`left out: ${name}`);
});

test("set-uid bits, owners and devices do not come along, and what is told of a name steers no terminal", async () => {
  await unpackInto(
    archive(
      { path: "suid", content: "x", mode: 0o6755, uid: 12345, gid: 12345 },
      { path: "device", type: "CharacterDevice", mode: 0o666 },
      { path: "evil\x1b[2Jname", type: "SymbolicLink", linkpath: "/etc/passwd" },
    ),
    target,
  );
  const { mode, uid } = await stat(join(target, "suid"));
  expect([mode & 0o7777, uid]).toEqual([0o755, process.getuid?.()]);
  expect((await readdir(target)).sort()).toEqual(["suid"]);
  expect(complaints()).not.toContain("\x1b");
  expect(complaints()).toContain("evil");
});
