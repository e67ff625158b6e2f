/** An image of a registry in a virtual machine and in a container: the same script says the same in both. */
import { mkdtemp, rm } from "node:fs/promises";
import { release } from "node:os";
import { join } from "node:path";
import { run } from "@mags/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";
import { type Registry, startRegistry } from "../harness/registry.ts";
import { smallSystem } from "../harness/small-system.ts";

let dir: string;
let registry: Registry;
let daemon: Daemon;

beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-images-");
  const images = join(dir, "images");
  await run("mkdir", [images]);
  for (const name of ["base", ".vm"])
    await run("ln", ["-s", join(process.env.MAGS_IMAGE_DIR ?? "/var/cache/mags/images", name), join(images, name)]);
  registry = await startRegistry();
  daemon = await Daemon.start({
    MAGS_RUNTIME: "qemu",
    MAGS_POOL_MIN: "0",
    MAGS_IMAGE_DIR: images,
    MAGS_REGISTRIES: `http://${registry.host}`,
  });
}, 240_000);

afterAll(async () => {
  await daemon?.remove();
  await registry?.close();
  await rm(dir, { recursive: true, force: true });
});

test("variables, directory, user and entrypoint of an image are the same in both runtimes", async () => {
  const rootfsType = await registry.push("app:1", {
    layers: [await smallSystem(join(dir, "root"))],
    arch: process.arch === "arm64" ? "arm64" : "amd64",
    config: {
      Env: ["PATH=/bin", "COLOUR=blue"],
      WorkingDir: "/srv",
      User: "app",
      Entrypoint: ["/bin/sh", "-c", 'echo "by the entrypoint"; exec "$@"', "entry"],
    },
  });
  const script = 'echo "$COLOUR $HOME $USER"; pwd; id -u; id -g; touch /etc/x 2>/dev/null || echo refused; uname -r';
  const mags = await daemon.client();
  const kernels: Record<string, string | undefined> = {};
  for (const runtime of ["container", "qemu"] as const) {
    const result = await mags.runAndWait(script, { rootfsType, runtime, timeout: 120 });
    const lines = result.stdout.trimEnd().split("\n");
    kernels[runtime] = lines.pop();
    const said = ["by the entrypoint", "blue /home/app app", "/srv", "1000", "1000", "refused"];
    expect([runtime, result.error, lines]).toEqual([runtime, null, said]);
  }
  expect(kernels.container).toBe(release());
  expect(kernels.qemu).not.toBe(release());
}, 300_000);
