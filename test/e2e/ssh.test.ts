/** The SSH gateway with OpenSSH's own clients and real sandboxes. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { run, spawn } from "@mags/kit";
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Daemon, untilEmpty } from "../harness/daemon.ts";
import { type SshCall, SshClient } from "../harness/ssh.ts";

let daemon: Daemon;
let mags: Mags;
let dir: string;
let job: string;
let client: SshClient;

beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-ssh-");
  daemon = await Daemon.start();
  mags = await daemon.client();
  client = new SshClient(daemon, dir);
  job = (
    await mags.run("mkdir -p /www; echo page > /www/index.html; exec python3 -m http.server 8000 -d /www", {
      persistent: true,
      name: "box",
    })
  ).requestId;
  await openDoor(job, "key");
});
afterAll(async () => {
  await daemon.remove();
  await rm(dir, { recursive: true, force: true });
});

const openDoor = (id: string, name: string) => client.openDoor(id, name);
const options = (key?: string) => client.options(key);
const at = (user = "root") => `${user}@127.0.0.1`;
const ssh = (args: string[], more?: SshCall) => client.run(args, more);
const remoteShell = () => ["ssh", ...options(), "-p", String(daemon.sshPort)].join(" ");
const sum = (data: Buffer | string) => createHash("sha256").update(data).digest("hex");

describe("a command", () => {
  it("runs as root with its own outputs, exit code and input", async () => {
    const { stdout, stderr, exitCode } = await ssh(["id -un; pwd; cat; echo err >&2; exit 7"], { input: "in\n" });
    expect([stdout, stderr, exitCode]).toEqual(["root\n/root\nin\n", "err\n", 7]);
  });

  it("that a signal ends says which", async () => {
    const { exitCode, stderr } = await ssh(["kill -TERM $$"]);
    expect(exitCode).toBe(255);
    expect(stderr).toBe("");
  });

  it("gets the variables that the client sends, and the job's", async () => {
    const { stdout } = await ssh(["echo $LANG $MY_VAR $SHELL"], {
      options: ["-o", "SetEnv=MY_VAR=mine", "-o", "SendEnv=LANG"],
      env: { LANG: "C.UTF-8" },
    });
    expect(stdout).toBe("C.UTF-8 mine /bin/bash\n");
  });

  it("may move a lot both ways, byte for byte", async () => {
    const data = Buffer.alloc(20 * 1024 * 1024);
    for (let i = 0; i < data.length; i += 7) data[i] = i % 251;
    const path = join(dir, "data");
    await writeFile(path, data);
    const out = await run("sh", ["-c", `${remoteShell()} ${at()} 'cat; cat >&2 /dev/null' < ${path} | sha256sum`]);
    expect(out.split(" ")[0]).toBe(sum(data));
  });

  it("is hung up when its client goes", async () => {
    const client = ssh(["echo up; exec sleep 4711"]);
    await once(client.stdout!, "data");
    expect((await ssh(["ps ax"])).stdout).toContain("sleep 4711");
    client.kill("SIGKILL");
    await client;
    await untilEmpty(async () => ((await ssh(["ps ax"])).stdout.includes("sleep 4711") ? ["the command"] : []));
  });

  it.each([
    ["without a terminal", "-T"],
    ["in a terminal", "-tt"],
  ])(
    "%s is told by SIGHUP that its client has gone: a trap runs, and what was made to stay goes on",
    async (_, flag) => {
      const file = `/tmp/gone${flag}`;
      const stay = ["nohup sleep 4712 >/dev/null 2>&1 &", "setsid sleep 4713 >/dev/null 2>&1 &"];
      const trap = `trap 'echo so long; echo bye > ${file}; exit' HUP`;
      const client = ssh([`${trap}; ${stay.join(" ")} sleep 4714 & echo up; while :; do sleep 0.1; done`], {
        options: [flag],
      });
      await once(client.stdout!, "data");
      // Until its program is there, what is left in the background is a shell that takes the signal for its parent's.
      while ((await ssh(["pgrep -fc '^sleep 471[234]'"])).stdout !== "3\n");
      client.kill("SIGKILL");
      await client;
      await untilEmpty(async () => ((await ssh([`cat ${file}`])).stdout === "bye\n" ? [] : ["the trap"]));
      await untilEmpty(async () => ((await ssh(["pgrep -fx 'sleep 4714'"])).stdout === "" ? [] : ["the rest of it"]));
      const { stdout } = await ssh(["pgrep -fc '^sleep 471[23]'; pkill -f '^sleep 471[23]'; true"]);
      expect(stdout).toBe("2\n");
    },
  );

  it("30 at a time over one connection", async () => {
    const control = join(dir, "control");
    const master = ssh(["-N"], { options: ["-M", "-S", control] });
    await untilEmpty(async () =>
      (await ssh(["true"], { options: ["-S", control, "-O", "check"] })).exitCode === 0 ? [] : ["no master"],
    );
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, i) => ssh([`sleep 0.5; echo ${i}`], { options: ["-S", control] })),
    );
    expect(answers.map(({ stdout }) => stdout)).toEqual(answers.map((_, i) => `${i}\n`));
    master.kill();
    await master;
  });
});

describe("a terminal", () => {
  it("has the client's size, follows it, and passes Ctrl-C", async () => {
    const script = `
import os, pty, sys, time, fcntl, termios, struct, signal, select
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
def size(rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
seen = b""
def until(text, seconds=30):
    global seen
    end = time.time() + seconds
    while text not in seen:
        if time.time() > end: sys.exit("no " + repr(text) + " in " + repr(seen))
        if select.select([fd], [], [], 0.2)[0]:
            seen += os.read(fd, 65536)
    seen = seen[seen.index(text) + len(text):]
size(31, 101)
os.kill(pid, signal.SIGWINCH)
time.sleep(1)
os.write(fd, b"echo is $(stty size) $TERM\\r")
until(b"is 31 101 xterm-test")
size(44, 155)
os.kill(pid, signal.SIGWINCH)
time.sleep(1)
os.write(fd, b"echo is $(stty size)\\r")
until(b"is 44 155")
os.write(fd, b"sleep 1000; echo after\\r")
time.sleep(1)
os.write(fd, b"\\x03")
time.sleep(0.5)
os.write(fd, b"echo still-$((1+1))\\r")
until(b"still-2")
os.write(fd, b"exit 5\\r")
_, status = os.waitpid(pid, 0)
print(os.waitstatus_to_exitcode(status))
`;
    const path = join(dir, "terminal.py");
    await writeFile(path, script);
    const { stdout, stderr } = await spawn(
      "python3",
      [path, "ssh", ...options(), "-p", String(daemon.sshPort), "-tt", at()],
      {
        env: { TERM: "xterm-test" },
        reject: false,
      },
    );
    expect([stdout, stderr]).toEqual(["5", ""]);
  });
});

describe("files", () => {
  const make = async (path: string) => {
    await mkdir(join(path, "sub"), { recursive: true });
    await writeFile(join(path, "a b"), "spaces\n");
    await writeFile(join(path, "sub", "big"), Buffer.alloc(3 * 1024 * 1024, "0123456789"));
  };
  const tree = (path: string) => run("sh", ["-c", `cd ${path} && find . -type f | sort | xargs -d '\\n' sha256sum`]);

  it.each(["scp", "scp -O"])("%s -r copies a tree there and back", async (command) => {
    const name = command.replace(" ", "");
    const from = join(dir, `${name}-from`);
    const back = join(dir, `${name}-back`);
    await make(from);
    const [program, ...flags] = command.split(" ");
    const scp = (...args: string[]) =>
      run(program!, [...flags, ...options(), "-P", String(daemon.sshPort), "-r", ...args]);
    await scp(from, `${at()}:/root/${name}`);
    await scp(`${at()}:/root/${name}`, back);
    expect(await tree(back)).toBe(await tree(from));
  });

  it("sftp lists, puts, renames, gets and removes", async () => {
    await writeFile(join(dir, "up"), "upload");
    const batch = `put ${join(dir, "up")} /root/up\nchmod 600 /root/up\nrename /root/up /root/up2\nls -l /root/up2\nget /root/up2 ${join(dir, "down")}\nrm /root/up2\n`;
    const { stdout, exitCode } = await spawn("sftp", [...options(), "-P", String(daemon.sshPort), "-b", "-", at()], {
      input: batch,
      reject: false,
    });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/-rw------- .* 6 .*up2/);
    expect(await readFile(join(dir, "down"), "utf8")).toBe("upload");
    expect((await ssh(["ls /root/up2"])).exitCode).toBe(2);
  });

  it("rsync -a keeps a tree in step", async () => {
    const from = join(dir, "rsync-from");
    const back = join(dir, "rsync-back");
    await make(from);
    const rsync = (...args: string[]) => run("rsync", ["-a", "--delete", "-e", remoteShell(), ...args]);
    await rsync(`${from}/`, `${at()}:/root/rsynced/`);
    await rm(join(from, "a b"));
    await writeFile(join(from, "new"), "new");
    await rsync(`${from}/`, `${at()}:/root/rsynced/`);
    await rsync(`${at()}:/root/rsynced/`, `${back}/`);
    expect(await tree(back)).toBe(await tree(from));
  });
});

it("mags ssh logs in by itself, passes arguments and exit codes on, and leaves no key behind", async () => {
  const tmp = join(dir, "tmp");
  await mkdir(tmp);
  const cli = (args: string[], input = "") =>
    spawn(new URL("../../cli/bin/mags", import.meta.url).pathname, args, {
      env: { ...daemon.env, TMPDIR: tmp },
      reject: false,
      input,
    });
  const { stdout, stderr, exitCode } = await cli(["ssh", "box", "cat; echo $1 err >&2; exit 9"], "in");
  expect([stdout, stderr.trim(), exitCode]).toEqual(["in", "err", 9]);
  expect((await cli(["ssh", "box", "-v", "true"])).stderr).toContain("Authenticated to 127.0.0.1");
  expect((await cli(["ssh", "no-such", "true"])).stderr).toContain("no-such");
  expect(await readdir(tmp)).toEqual([]);
});

describe("logins", () => {
  const refused = async (more: Parameters<typeof ssh>[1]) => (await ssh(["echo in"], more)).stderr;

  it("a key that is unknown, expired, or of a job that has ended is refused", async () => {
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(dir, "other")]);
    expect(await refused({ key: "other" })).toContain("Permission denied (publickey)");
    const short = (await mags.run("sleep 600", { persistent: true })).requestId;
    await openDoor(short, "short");
    expect((await ssh(["hostname"], { key: "short" })).exitCode).toBe(0);
    await mags.stop(short);
    await untilEmpty(async () => ((await mags.status(short)).status === "stopped" ? [] : ["job"]));
    expect(await refused({ key: "short" })).toContain("Permission denied (publickey)");
  });

  it("passwords are never asked for", async () => {
    expect(
      await refused({
        key: "none",
        options: ["-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password,keyboard-interactive"],
      }),
    ).toContain("Permission denied (publickey)");
  });

  it.each([["ed25519"], ["rsa"], ["ecdsa"]])(
    "a user's own %s key opens the job that the user name says",
    async (type) => {
      await run("ssh-keygen", ["-q", "-t", type, "-N", "", "-f", join(dir, type)]);
      const added = await daemon.http("POST", "/api/v1/mags-ssh-keys", {
        public_key: await readFile(join(dir, `${type}.pub`), "utf8"),
      });
      expect(added.status).toBe(201);
      expect((await ssh(["cat /www/index.html"], { key: type, user: "box" })).stdout).toBe("page\n");
      expect((await ssh(["cat /www/index.html"], { key: type, user: job })).stdout).toBe("page\n");
      expect(await refused({ key: type, user: "root" })).toContain("Permission denied (publickey)");
    },
  );

  it("a restart ends 50 open connections, SSH and URL alike; the host key is the same, and sessions work again", async () => {
    const before = await readFile(join(daemon.dataDir, "ssh_host_ed25519_key"), "utf8");
    const { url } = await mags.url(job, 8001);
    const { host } = new URL(url);
    const listening = ssh([
      'exec python3 -c \'import socket; s = socket.create_server(("127.0.0.1", 8001), backlog=100); k = [s.accept() for _ in range(25)]; print("all", flush=True); s.accept()\'',
    ]);
    const held = Array.from({ length: 25 }, () => {
      const socket = connect(daemon.appsPort, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      socket.resume();
      return socket;
    });
    const open = Array.from({ length: 24 }, () => ssh(["echo up; sleep 600"]));
    await Promise.all([listening, ...open].map(({ stdout }) => once(stdout!, "data")));
    await daemon.stop();
    expect((await Promise.all(open)).map(({ exitCode }) => exitCode)).toEqual(open.map(() => 255));
    expect((await listening).exitCode).toBe(255);
    await Promise.all(held.map((socket) => socket.closed || once(socket, "close")));
    await daemon.start();
    expect(await readFile(join(daemon.dataDir, "ssh_host_ed25519_key"), "utf8")).toBe(before);
    expect((await ssh(["cat /www/index.html"])).stdout).toBe("page\n");
  });

  it("what is no SSH, and who says nothing, is cut off; the rest goes on", async () => {
    const raw = (text: string | Buffer) => {
      const socket = connect(daemon.sshPort, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.write(text);
      socket.resume();
      return socket;
    };
    const junk = [
      "GET / HTTP/1.1\r\n\r\n",
      `SSH-2.0-x\r\n${"A".repeat(100_000)}`,
      Buffer.alloc(300_000, 7),
      "SSH-1.5-old\r\n",
    ].map(raw);
    await Promise.all(junk.map((socket) => socket.closed || once(socket, "close")));
    const silent = Array.from({ length: 1000 }, () => raw(""));
    const open = () => silent.filter((socket) => !socket.destroyed && !socket.readableEnded).length;
    await untilEmpty(async () => (open() <= 128 ? [] : [`${open()} connections`]));
    for (const socket of silent) socket.destroy();
    await untilEmpty(async () => ((await ssh(["true"])).exitCode === 0 ? [] : ["no login"]));
  });
});
