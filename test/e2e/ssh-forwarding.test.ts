/** What OpenSSH's client forwards, into sandboxes and to nowhere else. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { spawn } from "@mags/kit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Daemon, freePorts, untilEmpty } from "../harness/daemon.ts";
import { type SshCall, SshClient } from "../harness/ssh.ts";

let daemon: Daemon;
let dir: string;
let client: SshClient;

beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-ssh-");
  daemon = await Daemon.start();
  client = new SshClient(daemon, dir);
  const serve = "mkdir -p /www; echo page > /www/index.html; exec python3 -m http.server 8000 -d /www";
  const { requestId } = await (await daemon.client()).run(serve, { persistent: true });
  await client.openDoor(requestId);
  const served = async () => (await client.run(["curl -s http://127.0.0.1:8000/"])).stdout === "page\n";
  await untilEmpty(async () => ((await served()) ? [] : ["no server inside"]));
});
afterAll(async () => {
  await daemon.remove();
  await rm(dir, { recursive: true, force: true });
});

const ssh = (args: string[], more?: SshCall) => client.run(args, more);

const forwarding = (...flags: string[]) => {
  const running = ssh(["-N"], { options: [...flags, "-o", "ExitOnForwardFailure=yes"] });
  const end = async (signal: NodeJS.Signals) => {
    running.kill(signal);
    await running;
  };
  return { end, [Symbol.asyncDispose]: () => end("SIGTERM") };
};
const freePort = async () => (await freePorts(1))[0] as number;
const curl = async (...args: string[]) => {
  const call = await spawn(
    "curl",
    ["-sS", "--max-time", "20", "--retry", "20", "--retry-delay", "1", "--retry-connrefused", ...args],
    { reject: false },
  );
  return call.exitCode === 0 ? call.stdout : `failed: ${call.stderr}`;
};

it("-L leads to the sandbox's own ports", async () => {
  const port = await freePort();
  await using _ = forwarding("-L", `127.0.0.1:${port}:127.0.0.1:8000`);
  expect(await curl(`http://127.0.0.1:${port}/`)).toBe("page");
});

it("-D leads to the sandbox's own ports by name, and nowhere else", async () => {
  const port = await freePort();
  await using _ = forwarding("-D", `127.0.0.1:${port}`);
  const proxied = (url: string) => curl("--socks5-hostname", `127.0.0.1:${port}`, url);
  expect(await proxied("http://localhost:8000/")).toBe("page");
  const own = new URL(daemon.url).port;
  for (const url of [
    "http://10.0.0.1:80/",
    "http://169.254.169.254/",
    "http://example.com/",
    `http://127.0.0.1:${own}/healthz`,
  ])
    expect(await proxied(url)).toMatch(/^failed: /);
});

it.each(["SIGTERM", "SIGKILL"] as const)(
  "a client that is ended by %s in the middle takes its connection with it, and nothing else",
  async (signal) => {
    const port = await freePort();
    const client = forwarding("-L", `127.0.0.1:${port}:127.0.0.1:8000`);
    // The server inside waits for a request that never comes whole.
    const half = async () => {
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      socket.write("GET / HT");
      return [socket];
    };
    let open: Socket[] = [];
    await expect.poll(async () => (open = await half().catch(() => [])), { timeout: 20_000 }).toHaveLength(1);
    const inside = async () => (await ssh(["ss -Htn state established sport = :8000"])).stdout;
    await expect.poll(inside, { timeout: 20_000 }).not.toBe("");
    await client.end(signal);
    await expect.poll(inside, { timeout: 20_000 }).toBe("");
    for (const socket of open) socket.destroy();
  },
);

it("agent, X11 and remote forwarding are refused", async () => {
  const remote = await ssh(["true"], { options: ["-R", "9000:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes"] });
  expect(remote.stderr).toContain("remote port forwarding failed");
  const agent = await ssh(['echo "<$SSH_AUTH_SOCK>"'], { options: ["-A"] });
  expect(agent.stdout).toBe("<>\n");
});
