import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { createLogger } from "@mags/kit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ensureHostKey, startGateway } from "./index.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-gateway-");
});
afterAll(() => rm(dir, { recursive: true }));

const options = async () => ({
  server: { urls: ["http://127.0.0.1:9"], token: "node" },
  nodeToken: "node",
  appsListen: { host: "127.0.0.1", port: 0 },
  sshListen: { host: "127.0.0.1", port: 0 },
  trustedProxies: [],
  hostKey: (await ensureHostKey(dir)).privateKey,
  logger: createLogger("silent"),
});

it("starts and ends, and names the setting when an address is taken", async () => {
  const given = await options();
  await (await startGateway(given)).close();
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const listen = { host: "127.0.0.1", port: (taken.address() as AddressInfo).port };
  await expect(startGateway({ ...given, appsListen: listen })).rejects.toThrow(/^MAGS_APPS_LISTEN: .*EADDRINUSE/);
  await expect(startGateway({ ...given, sshListen: listen })).rejects.toThrow(/^MAGS_SSH_LISTEN: .*EADDRINUSE/);
  taken.close();
});

it("the host key is made once, for root's eyes alone; an empty file is none, and junk is told", async () => {
  const path = join(dir, "ssh_host_ed25519_key");
  const { publicKey } = await ensureHostKey(dir);
  expect(publicKey).toMatch(/^ssh-ed25519 AAAA/);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect((await ensureHostKey(dir)).publicKey).toBe(publicKey);
  await writeFile(path, "");
  expect((await ensureHostKey(dir)).publicKey).not.toBe(publicKey);
  expect(await readFile(path, "utf8")).toContain("OPENSSH PRIVATE KEY");
  await writeFile(path, "junk");
  await expect(ensureHostKey(dir)).rejects.toThrow("is no private key that can be read");
});
