import { once } from "node:events";
import { constants } from "node:os";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import type { Sandbox, Session, SessionRequest } from "../driver.ts";
import type { Define } from "./representative.ts";

/** Runs `action` in a sandbox of its own. */
export type InSandbox = (action: (sandbox: Sandbox) => Promise<unknown>) => Promise<unknown>;

const PATH = "/usr/bin:/bin";
const TTY = { cols: 100, rows: 30, term: "xterm" };

const shell = (command: string, more: Partial<SessionRequest> = {}): SessionRequest => ({
  argv: ["/bin/sh", "-c", command],
  env: { PATH },
  ...more,
});

/** Gives a session its whole input and answers all that it said. */
async function talk(session: Session, input: string | Buffer = "") {
  session.stdin.end(input);
  const [stdout, stderr, end] = await Promise.all([
    text(session.stdout),
    session.stderr ? text(session.stderr) : "",
    session.exit,
  ]);
  return { stdout, stderr, end };
}

/** Reads what a session says until `pattern` has come. */
async function until(session: Session, pattern: RegExp): Promise<string> {
  let seen = "";
  for await (const chunk of session.stdout.iterator({ destroyOnReturn: false })) {
    seen += String(chunk);
    if (pattern.test(seen)) return seen;
  }
  throw new Error(`ended before ${pattern}: ${seen}`);
}

const ended = (exit_code: number, signal: string | null = null) => ({ exit_code, signal, error: null });

async function untilGone(sandbox: Sandbox, name: string): Promise<void> {
  for (;;) {
    const { stdout } = await talk(await sandbox.open(shell(`pgrep -xc ${name}`)));
    if (stdout.trim() === "0") return;
    await delay(50);
  }
}

/** Until these programs are those that the terminal's keys reach, and wait. */
async function untilInFront(sandbox: Sandbox, names: string[]): Promise<void> {
  for (;;) {
    const { stdout } = await talk(await sandbox.open(shell("ps -eo stat=,comm=")));
    const waiting = stdout.split("\n").map((line) => /^S\S*\+\S* +(.+)$/.exec(line)?.[1]);
    if (names.every((name) => waiting.includes(name))) return;
    await delay(50);
  }
}

/** What every driver must do for those who come into a sandbox. */
export function sessions(inSandbox: InSandbox, test: Define): void {
  test("a session has three streams, an exit code, and what the caller gives it", () =>
    inSandbox(async (sandbox) => {
      const session = await sandbox.open(
        shell("cat; echo err >&2; pwd; echo $A $HOME $USER; exit 7", { cwd: "/tmp", env: { PATH, A: "1  2" } }),
      );
      expect(await talk(session, "in\n")).toEqual({
        stdout: "in\n/tmp\n1 2 /root root\n",
        stderr: "err\n",
        end: ended(7),
      });
    }));

  test("a session's program is the image's own, looked for in the given path, and has the given variables and no other", () =>
    inSandbox(async (sandbox) => {
      const open = (argv: string[], env = {}) => sandbox.open({ argv, env: { PATH, ...env } }).then(talk);
      expect((await open(["ls", "--version"])).stdout).toContain("GNU coreutils");
      const own = "mkdir -p /opt/own; printf '#!/bin/sh\necho own $0\n' >/opt/own/ls; chmod +x /opt/own/ls";
      await open(["sh", "-c", own]);
      const both = "/opt/own:/usr/bin:/bin";
      expect((await open(["ls"], { PATH: both })).stdout).toBe("own /opt/own/ls\n");
      const given = { OPTIND: "x", "A.B": "c d", IFS: "/", name: "=", __program: "p", PWD: "/nowhere", Q: "'\n\"" };
      const { stdout } = await open(["env", "-0"], given);
      const seen = stdout.split("\0").filter((line) => line && !/^(HOME|USER|LOGNAME|SHELL|PATH)=/.test(line));
      expect(seen.sort()).toEqual(
        Object.entries(given)
          .map(([name, value]) => `${name}=${value}`)
          .sort(),
      );
    }));

  test("a session carries a hundred megabytes both ways, and nothing is lost", () =>
    inSandbox(async (sandbox) => {
      const session = await sandbox.open(shell("exec cat"));
      const block = Buffer.alloc(1 << 20, "0123456789abcdef");
      const send = async () => {
        for (let i = 0; i < 100; i++) if (!session.stdin.write(block)) await once(session.stdin, "drain");
        session.stdin.end();
      };
      let count = 0;
      const receive = async () => {
        for await (const chunk of session.stdout) count += (chunk as Buffer).length;
      };
      await Promise.all([send(), receive()]);
      expect([count, await session.exit]).toEqual([100 << 20, ended(0)]);
    }));

  test("a session runs as another user of the sandbox, by name or number", () =>
    inSandbox(async (sandbox) => {
      const id = async (user: string) =>
        (await talk(await sandbox.open(shell("id -u; id -g; pwd; echo $USER", { user })))).stdout;
      expect(await id("nobody")).toBe("65534\n65534\n/\nnobody\n");
      expect(await id("1234")).toBe("1234\n0\n/\n1234\n");
      expect(await id("12:34")).toBe("12\n34\n/\n12\n");
      await expect(sandbox.open(shell("true", { user: "mallory" }))).rejects.toThrow('no user "mallory"');
      await expect(sandbox.open(shell("true", { user: "70000" }))).rejects.toThrow("outside of 0 to 65535");
    }));

  test("another user may open the streams of a session by name, in a terminal too", () =>
    inSandbox(async (sandbox) => {
      const command = "echo out >/dev/stdout; echo err >/dev/stderr";
      const piped = await talk(await sandbox.open(shell(command, { user: "daemon" })));
      expect(piped).toEqual({ stdout: "out\n", stderr: "err\n", end: ended(0) });
      const terminal = await talk(await sandbox.open(shell(command, { user: "daemon", tty: TTY })));
      expect(terminal).toMatchObject({ stdout: expect.stringContaining("out\r\nerr\r\n"), end: ended(0) });
    }));

  test("what cannot be started is told, not guessed", () =>
    inSandbox(async (sandbox) => {
      const failure = async (request: Partial<SessionRequest>) =>
        (await talk(await sandbox.open(shell("true", request)))).end;
      expect(await failure({ argv: ["/no/such"] })).toMatchObject({
        exit_code: null,
        error: expect.stringContaining("/no/such"),
      });
      expect(await failure({ cwd: "/no/where" })).toMatchObject({ exit_code: null, error: expect.any(String) });
    }));

  test("a session ends by a signal, with all of its processes", () =>
    inSandbox(async (sandbox) => {
      const session = await sandbox.open(shell("sleep 1001 & sleep 1001"));
      await session.kill("SIGKILL");
      expect(await session.exit).toEqual(ended(137, "SIGKILL"));
      await untilGone(sandbox, "sleep");
    }));

  test("in a terminal a shell has its size, job control, and keys that send signals", () =>
    inSandbox(async (sandbox) => {
      const session = await sandbox.open({
        argv: ["/bin/bash", "--norc", "-i"],
        env: { PATH, PS1: "READY " },
        tty: TTY,
      });
      await until(session, /READY /);
      session.stdin.write("tty; stty size; echo $TERM\r");
      expect(await until(session, /xterm\r\n/)).toMatch(/\/dev\/pts\/\d+\r\n30 100\r\nxterm\r\n/);
      session.resize(77, 11);
      session.stdin.write("stty size; sleep 1002 | cat\r");
      await until(session, /11 77/);
      await untilInFront(sandbox, ["sleep", "cat"]);
      session.stdin.write("\x1a");
      await until(session, /Stopped/);
      session.stdin.write("fg\r");
      await until(session, /sleep 1002 \| cat\r\n/);
      await untilInFront(sandbox, ["sleep", "cat"]);
      session.stdin.write("\x03");
      await until(session, /READY /);
      session.stdin.write("exit 5\r");
      session.stdout.resume();
      expect(await session.exit).toEqual(ended(5));
    }));

  test("the last words in a terminal arrive, however many", () =>
    inSandbox(async (sandbox) => {
      const session = await sandbox.open({ argv: ["/usr/bin/seq", "20000"], env: { PATH }, tty: TTY });
      await delay(500);
      const lines = (await text(session.stdout)).split("\r\n");
      expect([lines.length, lines.at(-2), await session.exit]).toEqual([20001, "20000", ended(0)]);
    }));

  test("whoever hangs up ends the session, and spares what has left it", () =>
    inSandbox(async (sandbox) => {
      for (const tty of [TTY, undefined]) {
        const daemon = "cp /bin/sleep /tmp/daemon; setsid sh -c 'echo up; exec /tmp/daemon 1003' &";
        const session = await sandbox.open(shell(`${daemon} sleep 1003 & sleep 1003`, { tty }));
        await until(session, /up/);
        await session.hangUp();
        expect(await session.exit).toMatchObject({ error: null });
        await untilGone(sandbox, "sleep");
        expect((await talk(await sandbox.open(shell("pkill daemon; echo $?")))).stdout).toBe("0\n");
      }
    }));

  test("who traps the signal of a caller that left runs on to its own end", () =>
    inSandbox(async (sandbox) => {
      for (const tty of [TTY, undefined]) {
        const wait =
          "trap 'sleep 0.3; echo so long; echo bye >/tmp/bye; exit' HUP; echo up; while :; do sleep 0.1; done";
        const session = await sandbox.open(shell(`rm -f /tmp/bye; ${wait}`, { tty }));
        await until(session, /up/);
        await session.hangUp();
        for (let said = ""; said !== "bye\n"; await delay(50))
          said = (await talk(await sandbox.open(shell("cat /tmp/bye")))).stdout;
        await session.exit;
      }
    }));

  test("nothing of the host comes along into a session", () =>
    inSandbox(async (sandbox) => {
      // Begun, not merely asked for: until then the runtime itself is among the processes, with its command line.
      const begin = async () => {
        const session = await sandbox.open(shell("echo up; sleep 5"));
        await once(session.stdout, "data");
        return session;
      };
      const others = await Promise.all([1, 2, 3].map(begin));
      const { stdout } = await talk(await sandbox.open(shell("ls /proc/self/fd; ps -eo args; env")));
      expect(stdout.split("\n").filter((line) => /^\d+$/.test(line))).toEqual(["0", "1", "2", "3"]);
      expect(stdout).not.toMatch(/crun|node|mags/i);
      for (const session of others) await session.hangUp();
    }));

  test("sessions end with their sandbox", () =>
    inSandbox(async (sandbox) => {
      const session = await sandbox.open(shell("sleep 1000", { tty: TTY }));
      session.stdout.resume();
      await sandbox.kill();
      expect((await session.exit).exit_code).not.toBe(0);
      await expect(sandbox.open(shell("true"))).rejects.toThrow("gone");
      await expect(sandbox.dial(80)).rejects.toThrow();
    }));

  test("a port that is open on the sandbox's loopback only is reached, both ways and to the end of each", () =>
    inSandbox(async (sandbox) => {
      const echo = `import socket
s = socket.create_server(("127.0.0.1", 8000)); print("up", flush=True)
c, _ = s.accept(); data = b""
while chunk := c.recv(65536): data += chunk
c.sendall(data.upper())`;
      const service = await sandbox.open({ argv: ["/usr/bin/python3", "-c", echo], env: { PATH } });
      await until(service, /up/);
      const socket = await sandbox.dial(8000);
      socket.end("hello ".repeat(50_000));
      expect(await text(socket)).toBe("HELLO ".repeat(50_000));
      expect(await service.exit).toEqual(ended(0));
      await expect(sandbox.dial(8001)).rejects.toThrow("ECONNREFUSED");
    }));

  test("what a sandbox uses is known", () =>
    inSandbox(async (sandbox) => {
      const before = await sandbox.stats();
      await talk(await sandbox.open(shell("dd if=/dev/urandom of=/root/x bs=1M count=20; sync")));
      const after = await sandbox.stats();
      expect(after.memory_bytes).toBeGreaterThan(0);
      expect(after.cpu_ns - before.cpu_ns).toBeGreaterThan(10e6);
      expect(after.written_bytes - before.written_bytes).toBeGreaterThan(15e6);
    }));

  test("a sandbox that may reach nothing is told so at once", () =>
    inSandbox(async (sandbox) => {
      await sandbox.limitNetwork("none");
      const script = `import socket
try: socket.create_connection(("203.0.113.1", 80), 20)
except OSError as error: print(error.errno)`;
      const { stdout } = await talk(await sandbox.open({ argv: ["/usr/bin/python3", "-c", script], env: { PATH } }));
      expect(stdout).toBe(`${constants.errno.EHOSTUNREACH}\n`);
    }));
}
