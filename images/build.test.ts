import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { spawn } from "@mags/kit";
import { afterEach, beforeEach, expect, test } from "vitest";

const BUILD = new URL("build.sh", import.meta.url).pathname;

let dir: string;
let images: string;

// Stand-ins for what takes a minute: a tree with one package, and an archive of npm whose sum nobody checks.
const STAND_INS = {
  npm: ': >"npm-$NPM_VERSION.tgz"',
  sha512sum: "true",
  mmdebstrap: `sleep "\${SLOW:-0}"; [ -z "\${BROKEN:-}" ] || { echo "E: no mirror" >&2; exit 1; }
    echo built >>"$COUNT"; tree=$(mktemp -d); mkdir -p "$tree/var/lib/dpkg"
    echo "Status: install ok installed" >"$tree/var/lib/dpkg/status"
    for last in "$@"; do case $last in */rootfs.tar) tar -cf "$last" -C "$tree" . ;; esac; done; rm -r "$tree"`,
};

beforeEach(async () => {
  dir = await mkdtemp("/tmp/mags-image-test-");
  images = join(dir, "images");
  await mkdir(join(dir, "bin"));
  for (const [name, script] of Object.entries(STAND_INS)) {
    await writeFile(join(dir, "bin", name), `#!/bin/sh\n${script}\n`);
    await chmod(join(dir, "bin", name), 0o755);
  }
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const build = (env: Record<string, string> = {}) =>
  spawn("sh", ["-c", `PATH=${dir}/bin:$PATH exec sh "$0" "$1"`, BUILD, images], {
    env: { COUNT: join(dir, "count"), NPM_VERSION: "stand-in", ...env },
    reject: false,
  });
const builds = async () => (await readFile(join(dir, "count"), "utf8").catch(() => "")).split("\n").length - 1;
const image = async () => JSON.parse(await readFile(join(images, "base/image.json"), "utf8"));

test("builds an image, and not a second time", async () => {
  expect((await build()).exitCode).toBe(0);
  expect(await image()).toMatchObject({
    name: "base",
    digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
  });
  expect(await readdir(join(images, "base/rootfs/run/mags"))).toEqual([]);
  const again = await build();
  expect([again.exitCode, again.stderr, await builds()]).toEqual([0, "", 1]);
});

test("two that start together build once", async () => {
  const both = await Promise.all([build({ SLOW: "1" }), build({ SLOW: "1" })]);
  expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  expect(await builds()).toBe(1);
});

test("a build that was killed is no image, and its leftovers go with the next one", async () => {
  const killed = build({ SLOW: "2" });
  await delay(700);
  killed.kill("SIGKILL");
  await killed;
  expect((await readdir(images)).some((name) => name.startsWith(".building-"))).toBe(true);
  expect((await build()).exitCode).toBe(0);
  expect((await readdir(images)).filter((name) => name.startsWith(".building-"))).toEqual([]);
  expect(await image()).toMatchObject({ name: "base" });
}, 20_000);

test("a failure says why and what to do, and leaves the image that was there", async () => {
  await build();
  const before = await outdate();
  const result = await build({ BROKEN: "1" });
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain("E: no mirror");
  expect(result.stderr).toContain("Check that apt-get update works here");
  expect(await image()).toEqual(before);
});

test("a replaced tree stays for the jobs that stand on it, until the machine has booted", async () => {
  await build();
  await outdate();
  await mkdir(join(images, ".replaced-earlier-1"));
  await build();
  const replaced = (await readdir(images)).filter((name) => name.startsWith(".replaced-"));
  expect(replaced).toHaveLength(1);
  expect(await readdir(join(images, replaced[0] as string))).toContain("rootfs");
  expect(await builds()).toBe(2);
});

/** Makes the image look as if it were built from an earlier recipe. */
async function outdate() {
  const old = { ...(await image()), recipe: "earlier" };
  await writeFile(join(images, "base/image.json"), JSON.stringify(old));
  return old;
}
