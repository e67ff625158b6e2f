/** A daemon takes up jobs that have not begun, and machines that cannot be reached yet. */
import { mkdir, mkdtemp, rm, rmdir, symlink, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";
import { type Registry, startRegistry } from "../harness/registry.ts";
import { smallSystem } from "../harness/small-system.ts";

const ARCH = process.arch === "arm64" ? "arm64" : "amd64";
const OTHER_BOOT = "00000000-0000-0000-0000-000000000000\n";

let dir: string;
let registry: Registry;
let gate: Awaited<ReturnType<typeof startGate>>;
let daemon: Daemon;
let mags: Mags;

beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-adoption-");
  registry = await startRegistry();
  gate = await startGate(Number(registry.host.split(":")[1]));
  // The default image as every test has it, and nothing else.
  await mkdir(join(dir, "images"));
  const base = join(process.env.MAGS_IMAGE_DIR || "/var/cache/mags/images", "base");
  await symlink(base, join(dir, "images/base"));
  daemon = await Daemon.start({
    MAGS_RUNTIME: "container",
    MAGS_IMAGE_DIR: join(dir, "images"),
    MAGS_REGISTRIES: `http://${gate.host}`,
  });
  mags = await daemon.client();
});
afterAll(async () => {
  await daemon?.remove();
  await gate?.close();
  await registry?.close();
  await rm(dir, { recursive: true, force: true });
});

/** Starts a job whose image does not come before the gate is opened. */
async function waiting(name: string): Promise<string> {
  const layers = [await smallSystem(join(dir, name))];
  const reference = await registry.push(`${name}:1`, { layers, arch: ARCH });
  const before = gate.waiting;
  const { requestId } = await mags.run("echo begun", { rootfsType: reference.replace(registry.host, gate.host) });
  await expect.poll(() => gate.waiting, { timeout: 60_000 }).toBeGreaterThan(before);
  return requestId;
}

test("a job that waits for its image does so, too, after an orderly stop, and then runs", async () => {
  const id = await waiting("orderly");
  await daemon.stop();
  await daemon.start();
  expect((await mags.status(id)).status).toBe("starting");
  gate.open();
  expect(await mags.wait(id)).toMatchObject({ status: "completed", exit_code: 0, error: null });
  gate.shut();
});

test("a job that waited for its image when the machine was rebooted ends, and is not waited for", async () => {
  const id = await waiting("rebooted");
  await daemon.kill();
  await writeFile(join(daemon.dataDir, "agent/machine-boot-id"), OTHER_BOOT);
  await daemon.start();
  expect(await mags.wait(id)).toMatchObject({ status: "error", reason: "supervisor_lost", exit_code: null });
  expect((await mags.runAndWait("echo others run")).stdout).toBe("others run\n");
});

test("a machine that cannot be taken up keeps no daemon from starting, and its job goes on once it can", async () => {
  const { requestId } = await mags.run("echo begun; until [ -e /root/go ]; do sleep 0.1; done; cat /root/go", {
    workspaceId: "kept",
  });
  await expect.poll(async () => (await mags.logs(requestId)).map(({ message }) => message)).toContain("begun");
  const machine = (await mags.status(requestId)).ran_by?.machine as string;
  await daemon.kill();
  // Where its disk is to be shown there is something else.
  const disk = join("/run/mags", daemon.instance, "sandboxes", machine, "disk");
  await rmdir(disk);
  await writeFile(disk, "");
  await daemon.start();
  expect((await mags.runAndWait("echo others run")).stdout).toBe("others run\n");
  await delay(2000);
  expect(await mags.status(requestId)).toMatchObject({ status: "running", exit_code: null });
  await rm(disk);
  await expect
    .poll(() => mags.exec(requestId, "echo gone on >/root/go").then(({ exitCode }) => exitCode, String), {
      timeout: 60_000,
    })
    .toBe(0);
  expect(await mags.wait(requestId)).toMatchObject({ status: "completed", exit_code: 0 });
  expect((await mags.logs(requestId)).map(({ message }) => message)).toContain("gone on");
});

/** A port before that of a registry, which holds connections until it is opened. */
async function startGate(port: number) {
  const held: Socket[] = [];
  let isOpen = false;
  let waiting = 0;
  const pass = (client: Socket) => {
    const there = connect(port, "127.0.0.1");
    client.pipe(there).pipe(client);
    for (const socket of [client, there]) socket.on("error", () => socket.destroy());
  };
  const server = createServer((client) => {
    client.on("error", () => client.destroy());
    waiting++;
    if (isOpen) pass(client);
    else held.push(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** connections so far */
    get waiting() {
      return waiting;
    },
    open: () => {
      isOpen = true;
      for (const client of held.splice(0)) pass(client);
    },
    shut: () => {
      isOpen = false;
    },
    close: () => {
      for (const client of held) client.destroy();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
