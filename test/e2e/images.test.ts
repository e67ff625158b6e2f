/** Images from registries and recipes, in real machines; the registry is Debian's, on loopback. */

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { run, spawn } from "@mags/kit";
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon, freePorts } from "../harness/daemon.ts";
import { type Registry, startRegistry } from "../harness/registry.ts";
import { packed, smallSystem } from "../harness/small-system.ts";
import { tar } from "../harness/tar.ts";

const ARCH = process.arch === "arm64" ? "arm64" : "amd64";

let dir: string;
let images: string;
let registry: Registry;
let locked: Registry;
let mirror: Server;
let daemon: Daemon;
let mags: Mags;
/** a small system: busybox with its commands */
let system: Buffer;
let alpine: Buffer;

beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-images-");
  images = join(dir, "images");
  // The default image as every test has it, and nothing else.
  await run("mkdir", [images]);
  await run("ln", ["-s", join(process.env.MAGS_IMAGE_DIR ?? "/var/cache/mags/images", "base"), join(images, "base")]);
  await makeTrees();
  [registry, locked] = await Promise.all([startRegistry(), startRegistry({ locked: true })]);
  const [port] = await freePorts(1);
  mirror = createServer((request, response) => {
    if (request.url?.includes("alpine-minirootfs")) response.end(alpine);
    else response.writeHead(404).end();
  }).listen(port, "127.0.0.1");
  daemon = await Daemon.start({
    MAGS_IMAGE_DIR: images,
    MAGS_REGISTRIES: `http://${registry.host},http://${locked.host},http://127.0.0.1:1`,
    MAGS_IMAGE_MAX_MB: "64",
    MAGS_ALPINE_MIRROR: `http://127.0.0.1:${port}`,
  });
  mags = await daemon.client();
}, 120_000);

afterAll(async () => {
  await daemon?.remove();
  mirror?.close();
  await Promise.all([registry?.close(), locked?.close()]);
  await rm(dir, { recursive: true, force: true });
});

async function makeTrees(): Promise<void> {
  const root = join(dir, "root");
  system = await smallSystem(root);
  await run("mkdir", ["-p", join(root, "etc/apk")]);
  await writeFile(join(root, "bin/apk"), "#!/bin/sh\necho real apk\n", { mode: 0o755 });
  alpine = gzipSync(await packed(root, join(dir, "alpine.tar")));
}

const pushed = (name: string, config: object = {}, layers: Buffer[] = []) =>
  registry.push(name, { layers: [system, ...layers], config, arch: ARCH });
const runOn = (rootfsType: string, script: string, options: object = {}) =>
  mags.runAndWait(script, { rootfsType, timeout: 60, ...options });
/** Nothing of an image that could not be had is left. */
const halves = async () => (await readdir(images)).filter((name) => name.startsWith(".building-"));

test("an image of a registry runs, with its variables, directory, user and entrypoint", async () => {
  const reference = await pushed("app:1", {
    Env: ["PATH=/bin", "COLOUR=blue=green", "SHAPE=square"],
    WorkingDir: "/srv",
    User: "app",
    Entrypoint: ["/bin/sh", "-c", 'echo "by the entrypoint"; exec "$@"', "entry"],
  });
  const script = 'echo "$COLOUR $SHAPE $HOME"; pwd; id -u; id -g; touch /etc/x 2>&1; stat -c %u /home/app';
  const result = await runOn(reference, script, { environment: { SHAPE: "round" } });
  expect(result.error).toBeNull();
  expect(result.stdout.split("\n").slice(0, 5)).toEqual([
    "by the entrypoint",
    "blue=green round /home/app",
    "/srv",
    "1000",
    "1000",
  ]);
  expect(result.stdout).toContain("Permission denied");
  expect(result.stdout.trimEnd().endsWith("1000")).toBe(true);
  const job = await mags.status(result.requestId);
  expect(job.ran_by).toMatchObject({ image: reference, image_digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) });
  expect((await runOn(reference, "id -u", { entrypoint: false })).stdout).toBe("1000\n");
}, 60_000);

test("commands in its machine have the image's user, variables and directory, too; files are root's", async () => {
  const reference = await pushed("app:2", { Env: ["COLOUR=red"], WorkingDir: "/srv", User: "1000:1000" });
  const { requestId, error } = await runOn(reference, "true", { persistent: true });
  expect(error).toBeNull();
  const inside = await mags.exec(requestId, 'echo "$COLOUR"; pwd; id -u');
  expect(inside.stdout).toBe("red\n/srv\n1000\n");
  expect((await mags.exec(requestId, "id -u", { user: "root" })).stdout).toBe("0\n");
  const files = mags.machineFiles(requestId);
  await files.write("/etc/written", "x");
  expect((await mags.exec(requestId, "stat -c %u /etc/written", { user: "root" })).stdout).toBe("0\n");
  await mags.stop(requestId);
}, 60_000);

test("a workspace remembers its image, and another one on it is refused", async () => {
  const reference = await pushed("kept:1");
  const first = await runOn(reference, "echo kept > /srv/file", { workspaceId: "of-an-image" });
  expect([first.stderr, first.error]).toEqual(["", null]);
  const again = await mags.runAndWait("cat /srv/file; test ! -e /usr/bin/python3", { workspaceId: "of-an-image" });
  expect([again.stderr, again.stdout, again.exitCode]).toEqual(["", "kept\n", 0]);
  const other = runOn("base", "true", { workspaceId: "of-an-image" });
  await expect(other).rejects.toMatchObject({
    statusCode: 400,
    field: "rootfs_type",
    message: expect.stringContaining(reference),
  });
  await mags.runAndWait("true", { workspaceId: "of-the-default" });
  await expect(runOn(reference, "true", { workspaceId: "of-the-default" })).rejects.toMatchObject({ statusCode: 400 });
}, 60_000);

test("images that cannot be had end their job with the reason, and leave nothing", async () => {
  const foreign = await registry.push("foreign:1", { layers: [system], arch: "s390x" });
  const damaged = await pushed("damaged:1", {}, [tar([{ name: "srv/damaged", content: "this layer gets damaged" }])]);
  await damageLayers("damaged");
  const cases: [string, RegExp][] = [
    [`docker://${registry.host}/not-there:1`, /manifest unknown/],
    [`docker://${registry.host}/app@sha256:${"0".repeat(64)}`, /manifest unknown/],
    [`docker://${locked.host}/app:1`, /auth|unauthorized|no basic auth/i],
    ["docker://127.0.0.1:1/app:1", /connection refused/],
    [foreign, /it is for linux\/s390x, and this node is linux\//],
    [damaged, /digest|checksum|unexpected EOF|invalid|size/i],
  ];
  for (const [reference, reason] of cases) {
    const result = await runOn(reference, "true");
    const job = await mags.status(result.requestId);
    expect([reference, job.status, job.reason]).toEqual([reference, "error", "image_unavailable"]);
    expect(job.error).toMatch(reason);
  }
  expect(await halves()).toEqual([]);
}, 120_000);

/** Overwrites what the registry has as the newest layer, as a bad disk would. */
async function damageLayers(name: string): Promise<void> {
  const manifest = await fetch(`http://${registry.host}/v2/${name}/manifests/1`, {
    headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
  });
  const { layers } = (await manifest.json()) as { layers: { digest: string }[] };
  const hex = (layers.at(-1) as { digest: string }).digest.slice("sha256:".length);
  const path = join(registry.dir, "data/docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex, "data");
  const bytes = await readFile(path);
  bytes[bytes.length - 6] = (bytes.at(-6) as number) ^ 0xff;
  await writeFile(path, bytes);
}

test("references that are none, and registries that are not allowed, are refused at once", async () => {
  const refused = async (rootfsType: string) =>
    mags.run("true", { rootfsType }).then(
      () => "accepted",
      (error) => [error.statusCode, error.field],
    );
  for (const name of [
    "docker://",
    "docker://a b",
    "../../etc",
    "docker://x/../y",
    "docker://127.0.0.1:5432/x",
    "docker://evil.example/x",
    "nope",
  ])
    expect([name, await refused(name)]).toEqual([name, [400, "rootfs_type"]]);
});

test("hostile layers reach nothing outside of their own tree", async () => {
  const victim = join(dir, "victim");
  const out = `${dir.slice(1)}/victim`;
  await writeFile(victim, "untouched\n");
  const up = "../".repeat(12);
  const reference = await pushed("hostile:1", {}, [
    tar([
      { name: `${up}${out}`, content: "zip-slip" },
      { name: `/${out}`, content: "absolute" },
      { name: "way-out", type: "symlink", target: dir },
      { name: "way-out/victim", content: "through a symlink" },
      { name: "climb", type: "symlink", target: `${up}${dir.slice(1)}` },
      { name: "climb/victim", content: "through a climbing symlink" },
      { name: "srv/null", type: "char", device: [1, 3], mode: 0o666 },
      { name: "srv/disk", type: "block", device: [7, 0], mode: 0o666 },
      { name: "srv/setuid", content: "#!/bin/sh\n", mode: 0o4755 },
    ]),
    tar([
      { name: "srv/link", type: "symlink", target: "/" },
      { name: `srv/link/${out}`, content: "in a later layer" },
      { name: ".wh.way-out" },
    ]),
  ]);
  const result = await runOn(reference, "ls -l /srv; find / -xdev -type b -o -xdev -type c | grep -v ^/dev/; true");
  expect(result).toMatchObject({ status: "completed" });
  expect(result.stdout).not.toMatch(/^[bc]/m);
  expect(await readFile(victim, "utf8")).toBe("untouched\n");
  const own = (await readdir(images)).filter((name) => name.startsWith("oci-"));
  // What is set-uid in there must not be there for other users of this host.
  for (const name of own) expect((await stat(join(images, name))).mode & 0o777).toBe(0o700);
  for (const [name, target] of [
    ["hard-link:1", victim],
    ["hard-link:2", `${up}${victim.slice(1)}`],
  ] as const) {
    const linked = await pushed(name, {}, [tar([{ name: "srv/stolen", type: "link", target }])]);
    const stolen = await runOn(linked, "cat /srv/stolen");
    expect(stolen.stdout).not.toContain("untouched");
  }
  expect((await stat(victim)).nlink).toBe(1);
}, 120_000);

test("an image that unpacks to more than it may is given up on the way", async () => {
  const bomb = await pushed("bomb:1", {}, [tar([{ name: "srv/zeros", content: "\0".repeat(200 * 1024 * 1024) }])]);
  const job = await mags.status((await runOn(bomb, "true")).requestId);
  expect(job.error).toContain("is larger than 64 MiB");
  expect(await halves()).toEqual([]);
}, 120_000);

test("what others write on the same disk meanwhile is not counted as an image's", async () => {
  const reference = await pushed("beside:1", {}, [tar([{ name: "srv/data", content: randomBytes(20 * 1024 ** 2) }])]);
  const beside = join(dir, "beside");
  let pulling = true;
  const pull = runOn(reference, "echo fits").finally(() => {
    pulling = false;
  });
  // Each is larger than an image may be.
  for (let i = 0; pulling && i < 100; i++) await run("fallocate", ["-l", "70M", `${beside}${i}`]).then(() => delay(20));
  expect(await pull).toMatchObject({ status: "completed", stdout: "fits\n" });
}, 60_000);

test("Alpine comes from the configured mirror with its own apk, and only as the recipe knows it", async () => {
  const job = await mags.status((await runOn("alpine", "apk")).requestId);
  expect(job).toMatchObject({ status: "error", reason: "image_unavailable" });
  expect(job.error).toContain("its SHA-256 is");
  // The same recipe with the sum of what this mirror has.
  await run("sh", ["images/build.sh", images, "alpine"], {
    env: { MAGS_ALPINE_MIRROR: `http://127.0.0.1:${portOf(mirror)}`, MAGS_ALPINE_SHA256: await sha256(alpine) },
  });
  const result = await runOn("alpine", "apk; cat /etc/apk/repositories");
  expect(result.stdout).toContain("real apk\n");
  expect(result.stdout).toContain(`http://127.0.0.1:${portOf(mirror)}/v3.23/main`);
  expect((await mags.runAndWait("echo others work")).stdout).toBe("others work\n");
}, 60_000);

test("mags image lists, pulls, builds and removes; a second time is a no-op, and what is in use stays", async () => {
  const reference = await pushed("listed:1");
  const pull = await daemon.cli(["image", "pull", reference.slice("docker://".length)]);
  expect([pull.exitCode, pull.stderr]).toEqual([0, expect.stringMatching(/begun|asking|downloading|unpacking/)]);
  expect(pull.stdout).toContain("sha256:");
  const first = await made(reference);
  const again = await daemon.cli(["image", "pull", reference]);
  expect([again.exitCode, again.stdout]).toEqual([0, pull.stdout]);
  expect(await made(reference)).toBe(first);
  // A tag that has moved is pulled anew.
  await pushed("listed:1", {}, [tar([{ name: "srv/new", content: "new" }])]);
  expect((await daemon.cli(["image", "pull", reference])).stdout).not.toBe(pull.stdout);
  expect((await runOn(reference, "cat /srv/new")).stdout).toBe("new");

  const { requestId } = await runOn(reference, "true", { persistent: true });
  const refused = await daemon.cli(["image", "remove", reference]);
  expect([refused.exitCode === 0, refused.stderr]).toEqual([false, expect.stringContaining("in use by 1 jobs")]);
  await mags.stop(requestId);
  await expect.poll(() => mags.status(requestId).then((job) => job.status), { timeout: 20_000 }).toBe("stopped");
  await expect
    .poll(async () => (await daemon.cli(["image", "remove", reference])).stdout, { timeout: 20_000 })
    .toBe(`removed ${reference}\n`);
  const { images: listed } = await mags.images.list();
  expect(listed.map(({ image }) => image)).not.toContain(reference);
  expect(listed.find(({ image }) => image === "base")).toMatchObject({ state: "ready" });
  expect((await daemon.cli(["image", "remove", "base"])).exitCode).not.toBe(0);
  expect((await daemon.cli(["image", "list"])).stdout).toMatch(/^base +\S+ +ready/m);
}, 120_000);

test("what a killed pull has left goes with the next start, and one that is under way stays", async () => {
  const left = join(images, ".building-oci-0123-abcdef");
  const busy = join(images, ".building-oci-4567-abcdef");
  await run("mkdir", ["-p", join(left, "layout"), busy]);
  const holder = spawn("flock", ["--no-fork", join(images, ".lock-oci-4567"), "sleep", "600"], { reject: false });
  await expect.poll(() => existsSync(join(images, ".lock-oci-4567"))).toBe(true);
  await daemon.kill();
  await daemon.start();
  expect([existsSync(left), existsSync(busy)]).toEqual([false, true]);
  holder.kill("SIGKILL");
  await holder;
}, 60_000);

const made = async (reference: string) =>
  (await mags.images.list()).images.find(({ image }) => image === reference)?.created_at;
const portOf = (server: Server) => (server.address() as { port: number }).port;
const sha256 = async (bytes: Buffer) =>
  Buffer.from(await crypto.subtle.digest("SHA-256", bytes as never)).toString("hex");
