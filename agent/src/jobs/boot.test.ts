import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mount, unmount } from "@mags/kit";
import { afterEach, beforeEach, expect, it } from "vitest";
import { noteBoot, rebooted } from "./boot.ts";

const OTHER = "00000000-0000-0000-0000-000000000000\n";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "mags-boot-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

it("a reboot is seen until it is noted, and an empty note is none", async () => {
  expect(await rebooted(dir)).toBe(false);
  await noteBoot(dir);
  expect(await rebooted(dir)).toBe(false);
  await writeFile(join(dir, "machine-boot-id"), OTHER);
  expect([await rebooted(dir), await rebooted(dir)]).toEqual([true, true]);
  await noteBoot(dir);
  expect(await rebooted(dir)).toBe(false);
  await writeFile(join(dir, "machine-boot-id"), "");
  expect(await rebooted(dir)).toBe(false);
});

it("a note for which there is no room leaves the one of before, and one that holds needs no room", async () => {
  mount("tmpfs", "test", dir, "size=8k");
  try {
    const path = join(dir, "machine-boot-id");
    await writeFile(path, OTHER);
    await writeFile(join(dir, "filler"), Buffer.alloc(4096));
    await expect(noteBoot(dir)).rejects.toThrow("ENOSPC");
    expect(await readFile(path, "utf8")).toBe(OTHER);
    await rm(join(dir, "filler"));
    await noteBoot(dir);
    await writeFile(join(dir, "filler"), Buffer.alloc(4096));
    await noteBoot(dir);
    expect(await rebooted(dir)).toBe(false);
  } finally {
    unmount(dir);
  }
});
