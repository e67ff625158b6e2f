/** Getting into a live sandbox: exec, terminals and files, by HTTP, SDK and command line. */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { constants } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { join } from "@mags/kit";
import { Mags, MagsError } from "@mags/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";

let daemon: Daemon;
let mags: Mags;
/** name of a persistent job */
const box = "access-box";

beforeAll(async () => {
  daemon = await Daemon.start();
  mags = await daemon.client();
  await mags.runAndWait("echo ready", { name: box, persistent: true, environment: { OF_JOB: "yes" } });
});
afterAll(async () => {
  await mags.stop(box).catch(() => undefined);
  await daemon.remove();
});

describe("exec", () => {
  test("answers with exit code, both outputs and the job's environment", async () => {
    const result = await mags.exec(box, "echo $OF_JOB $A; cat; pwd >&2; exit 3", {
      env: { A: "b" },
      stdin: "in",
      cwd: "/tmp",
    });
    expect(result).toMatchObject({ exitCode: 3, signal: null, timedOut: false, stdout: "yes b\nin", stderr: "/tmp\n" });
  });

  test("takes arguments as they are, bytes that are no text, and other users", async () => {
    const bytes = Uint8Array.of(0, 255, 128, 10);
    expect(new Uint8Array((await mags.exec(box, ["cat"], { stdin: bytes })).stdoutBytes)).toEqual(bytes);
    expect((await mags.exec(box, ["printf", "%s|", "a b", "$HOME", "*"])).stdout).toBe("a b|$HOME|*|");
    expect((await mags.exec(box, "id -un; echo $HOME", { user: "nobody" })).stdout).toBe("nobody\n/nonexistent\n");
  });

  test("ends a command at its time limit, and one whose caller has left", async () => {
    expect(await mags.exec(box, "sleep 1000", { timeout: 0.5 })).toMatchObject({ exitCode: 137, timedOut: true });
    const leaving = new AbortController();
    const call = mags.exec(box, "exec sleep 1001", { signal: leaving.signal });
    const running = async () => (await mags.exec(box, ["pgrep", "-fxc", "sleep 1001"])).stdout.trim();
    while ((await running()) !== "1") await delay(50);
    leaving.abort();
    await expect(call).rejects.toMatchObject({ code: "aborted" });
    while ((await running()) !== "0") await delay(50);
  });

  test("keeps a megabyte of each output and counts the rest", async () => {
    const { stdout, stderr, dropped } = await mags.exec(box, "head -c 3000000 /dev/zero | tr '\\0' x; echo err >&2");
    expect([stdout.length, stderr, dropped]).toEqual([1 << 20, "err\n", { stdout: 3_000_000 - (1 << 20), stderr: 0 }]);
  });

  test("streams as server-sent events", async () => {
    const response = await fetch(`${daemon.url}/api/v1/mags-jobs/${box}/exec`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${await daemon.token()}`,
        accept: "text/event-stream",
        "content-type": "application/json",
      },
      body: JSON.stringify({ command: "printf 'gr\\303'; sleep 0.3; printf '\\274n\\n'; echo err >&2; exit 4" }),
    });
    const events = (await response.text()).split("\n\n").filter((event) => event.startsWith("event:"));
    const parsed = events.map((event) => {
      const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
      return { name, ...JSON.parse(data as string) };
    });
    const text = (source: string) =>
      parsed
        .filter((event) => event.source === source)
        .map((event) => event.data)
        .join("");
    expect([text("stdout"), text("stderr")]).toEqual(["grün\n", "err\n"]);
    expect(parsed.some((event) => event.encoding)).toBe(false);
    expect(parsed.at(-1)).toMatchObject({ name: "exit", exit_code: 4, bytes: { stdout: 6, stderr: 4 } });
  });

  test("refuses what cannot be, with a reason", async () => {
    const { requestId } = await mags.runAndWait("true");
    const refusal = (call: Promise<unknown>) =>
      call.then(
        () => "none",
        (error: MagsError) => [error.statusCode, error.code],
      );
    expect(await refusal(mags.exec("nobody-here", "true"))).toEqual([404, "not_found"]);
    expect(await refusal(mags.exec(requestId, "true"))).toEqual([409, "conflict"]);
    expect(await refusal(mags.exec(box, ["/no/such"]))).toEqual([422, "not_started"]);
    expect(await refusal(mags.exec(box, "true", { user: "mallory" }))).toEqual([422, "not_started"]);
    expect(await refusal(mags.exec(box, "true", { cwd: "/no/where" }))).toEqual([422, "not_started"]);
    expect(await refusal(mags.exec(box, "", {}))).toEqual([400, "invalid_request"]);
    expect(await refusal(mags.exec(box, "true", { timeout: -1 }))).toEqual([400, "invalid_request"]);
    await expect(mags.session(requestId, { onOutput: () => undefined })).rejects.toMatchObject({ statusCode: 409 });
    await expect(mags.session("nobody-here", { onOutput: () => undefined })).rejects.toBeInstanceOf(MagsError);
  });

  test("two hundred at a time all come right", async () => {
    const all = Array.from({ length: 200 }, (_, number) => mags.exec(box, `echo ${number}; exit ${number % 200}`));
    const results = await Promise.all(all);
    expect(results.map(({ stdout, exitCode }) => [stdout, exitCode])).toEqual(
      results.map((_, number) => [`${number}\n`, number]),
    );
  });
});

describe("mags exec", () => {
  test("streams input and output and exits as the command does", async () => {
    const big = "line\n".repeat(200_000);
    const result = await daemon.cli(["exec", box, "--", "sh", "-c", "cat; echo err >&2; exit 5"], { input: big });
    expect([result.stdout === big, result.stderr, result.exitCode]).toEqual([true, "err\n", 5]);
  });

  test("gives one word to the shell, and options after the job to the command", async () => {
    expect((await daemon.cli(["exec", box, "echo $OF_JOB | tr y Y"])).stdout).toBe("Yes\n");
    expect((await daemon.cli(["exec", "-e", "A=1", box, "printenv", "A"])).stdout).toBe("1\n");
    expect((await daemon.cli(["exec", box, "ls", "-d", "/etc"])).stdout).toBe("/etc\n");
  });

  test("tells a time limit, a command that is not there, and a job that is not", async () => {
    expect((await daemon.cli(["exec", "--timeout", "0.5", box, "sleep 100"])).exitCode).toBe(124);
    const missing = await daemon.cli(["exec", box, "/no/such", "argument"]);
    expect([missing.exitCode, missing.stderr]).toEqual([125, expect.stringContaining("/no/such")]);
    const unknown = await daemon.cli(["exec", "nobody-here", "true"]);
    expect([unknown.exitCode, unknown.stderr]).toEqual([1, expect.stringContaining("no job")]);
  });

  test("has a terminal when asked for one", async () => {
    const { stdout } = await daemon.cli(["exec", "-t", box, "tty; stty size"]);
    expect(stdout).toMatch(/^\/dev\/pts\/\d+\r\n24 80\r\n$/);
  });
});

test("a terminal outlives its connections: the session goes on, and nothing of its output is missing", async () => {
  const line = await LineToCut.open(daemon.port);
  const client = new Mags({ apiUrl: line.url, apiToken: await daemon.token() });
  let seen = "";
  const session = await client.session(box, {
    command: "for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.25; done",
    tty: { cols: 80, rows: 24 },
    onOutput: (_source, data) => {
      seen += new TextDecoder().decode(data);
    },
  });
  for (const number of [2, 5]) {
    while (!seen.includes(`line ${number}`)) await delay(20);
    line.cut();
  }
  expect(await session.exit).toMatchObject({ exit_code: 0 });
  expect(seen).toBe([1, 2, 3, 4, 5, 6, 7, 8].map((number) => `line ${number}\r\n`).join(""));
  line.close();
});

describe("the network of a job", () => {
  const script = `python3 -c '
import socket
try: socket.create_connection(("203.0.113.1", 80), 20)
except OSError as error: print(error.errno)'; getent hosts nobody.test || echo no name`;

  test("is none where that is asked for, and what a list leaves", async () => {
    const unreachable = `${constants.errno.EHOSTUNREACH}\nno name\n`;
    expect((await mags.runAndWait(script, { network: "none" })).stdout).toBe(unreachable);
    expect((await mags.runAndWait(script, { network: { allow: ["example.com"] } })).stdout).toBe(unreachable);
    expect((await daemon.cli(["run", "--no-network", script])).stdout).toBe(unreachable);
  });

  test("is refused where it makes no sense", async () => {
    for (const network of ["all", { allow: ["http://x"] }, { allow: ["10.0.0.0/64"] }, { deny: [] }])
      await expect(mags.run("true", { network: network as never })).rejects.toMatchObject({
        statusCode: 400,
        code: "invalid_request",
      });
  });
});

/** A TCP line to a port of this machine whose connections can be cut. */
class LineToCut {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(port: number) {
    this.#server = createServer({ allowHalfOpen: true }, (near) => {
      const far = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
      this.#sockets.add(near);
      void join(near, far).finally(() => this.#sockets.delete(near));
    });
  }

  static async open(port: number): Promise<LineToCut> {
    const line = new LineToCut(port);
    line.#server.listen(0, "127.0.0.1");
    await once(line.#server, "listening");
    return line;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}
