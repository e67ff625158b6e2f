/** Volumes that a virtual machine had: what its kernel may have left there, and what the host's makes of it. */
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { loopOf, mountImage, run, unmount } from "@mags/kit";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { distrust, isTrusted } from "../volumes/trust.ts";
import { makeMountable, mountVolume } from "./mountable.ts";
import { snapshot } from "./snapshot.ts";
import { makeWorld, type World } from "./testing/world.ts";

const MiB = 1024 ** 2;
let world: World;
let volume: string;
let target: string;
beforeEach(async () => {
  world = await makeWorld();
  [volume, target] = [world.at("volume"), join(world.dir, "target")];
  await mkdir(target);
  await world.templates.create(volume, 0.25, "journaled");
  await inVolume((at) => writeFileSync(join(at, "upper", "file"), "content"));
  distrust(volume);
});
afterEach(async () => {
  unmount(target);
  await world.close();
});

/** As the machine's root, who may do anything to it. */
async function inVolume(work: (at: string) => void): Promise<void> {
  mountImage("ext4", volume, target);
  try {
    work(target);
  } finally {
    await run("umount", [target]);
  }
  // The kernel lets go of the loop device a moment later; while it is there, the volume counts as mounted.
  while (loopOf(volume)) await delay(10);
}

const debugfs = (command: string) => run("debugfs", ["-w", "-R", command, volume]);

async function overwrite(position: number, bytes: Buffer): Promise<void> {
  const file = await open(volume, "r+");
  await file.write(bytes, 0, bytes.length, position);
  await file.close();
}

const mountOptions = () =>
  readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .find((line) => line.split(" ")[1] === target)
    ?.split(" ")[3];

test("a volume of ours and its copies are mounted as they are; one that a machine had is checked once", async () => {
  const [fresh, copy, taken] = [world.at("fresh"), world.at("copy"), world.at("taken")];
  await world.templates.create(fresh, 0.25, "journaled");
  world.store.clone(fresh, copy);
  expect([isTrusted(fresh), isTrusted(copy), isTrusted(volume)]).toEqual([true, true, false]);
  world.store.clone(volume, world.at("other"));
  expect(isTrusted(world.at("other"))).toBe(false);
  expect(await makeMountable(volume)).toBeUndefined();
  expect(isTrusted(volume)).toBe(true);
  mountVolume(volume, target);
  await snapshot(world.store, volume, target, taken);
  expect(isTrusted(taken)).toBe(true);
  expect(statSync(volume)).toMatchObject({ uid: 0, gid: 0 });
});

test("what checks a volume has none of the daemon's variables, which may be secrets", async () => {
  const [bin, said] = [join(world.dir, "bin"), join(world.dir, "said")];
  await mkdir(bin);
  writeFileSync(said, "");
  chmodSync(said, 0o666);
  for (let dir = world.dir; dir !== "/tmp"; dir = dirname(dir)) chmodSync(dir, 0o755);
  writeFileSync(join(bin, "e2fsck"), `#!/bin/sh\nenv >${said}\n`, { mode: 0o755 });
  vi.stubEnv("PATH", `${bin}:/usr/sbin:/usr/bin:/sbin:/bin`);
  vi.stubEnv("MAGS_S3_SECRET_ACCESS_KEY", "secret");
  try {
    await makeMountable(volume);
  } finally {
    vi.unstubAllEnvs();
  }
  expect(readFileSync(said, "utf8")).toContain(`PATH=${bin}:`);
  expect(readFileSync(said, "utf8")).not.toContain("secret");
});

test("a machine that was cut off in the middle of writing left no damage", async () => {
  mountImage("ext4", volume, target);
  for (let number = 0; number < 200; number++) writeFileSync(join(target, "upper", `f${number}`), "x".repeat(5000));
  await run("sync");
  // As the disk is while it is still in use.
  const torn = world.at("torn");
  world.store.clone(volume, torn);
  unmount(target);
  expect(await makeMountable(torn)).toBeUndefined();
  mountVolume(torn, target);
  expect(readdirSync(join(target, "upper"))).toHaveLength(201);
});

test("damage is mended as far as it can be, and said", async () => {
  const [block, facts] = [await debugfs("bmap upper 0"), await run("dumpe2fs", ["-h", volume])];
  const size = Number(/^Block size: +(\d+)$/m.exec(facts)?.[1]);
  await overwrite(Number(block) * size, Buffer.alloc(size, 0x5a));
  expect(await makeMountable(volume)).toMatch(/directory corrupted/);
  mountVolume(volume, target);
  expect(readdirSync(join(target, "upper"))).toEqual([]);
  const [found] = readdirSync(join(target, "lost+found"));
  expect(readFileSync(join(target, "lost+found", found as string), "utf8")).toBe("content");
});

describe("nothing is mounted of", () => {
  const refused = async (code: string, message: RegExp) => {
    const use = async () => {
      await makeMountable(volume);
      mountVolume(volume, target);
    };
    await expect(use()).rejects.toMatchObject({ name: "VersionError", code, message: expect.stringMatching(message) });
    expect(mountOptions()).toBeUndefined();
  };

  test("a disk that is no file system any more", async () => {
    await overwrite(0, Buffer.alloc(256 * MiB, 0x5a));
    await refused("damaged", /file system is damaged, or none/);
  });

  test("one with features of ext4 that the host's kernel need not know", async () => {
    await run("tune2fs", ["-O", "encrypt", volume]);
    await refused("invalid", /features.*encrypt/);
  });

  test("one whose journal is said to be on a device of the host", async () => {
    await debugfs("set_super_value journal_dev 0x701");
    await refused("invalid", /journal/);
  });

  test.each(["upper", "work"])("one whose directory %s is a link to a directory of the host", async (name) => {
    await inVolume((at) => {
      rmSync(join(at, name), { recursive: true });
      symlinkSync("/etc", join(at, name));
    });
    await refused("invalid", /no volume of Mags/);
  });
});

test("what its superblock wants of the kernel is not done: no panic, no devices, no other users", async () => {
  await run("tune2fs", ["-e", "panic", volume]);
  await makeMountable(volume);
  mountVolume(volume, target);
  const options = mountOptions()?.split(",");
  expect(options).toEqual(expect.arrayContaining(["nosuid", "nodev"]));
  expect(options).not.toContain("errors=panic");
});
