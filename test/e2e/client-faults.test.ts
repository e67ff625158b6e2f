/**
 * Servers that are away, broken or slow, as each client meets them: one table for the Node SDK, the Python client and the
 * command line. And Ctrl-C in the middle of every command.
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inParallel, spawn } from "@mags/kit";
import { Mags, MagsError } from "@mags/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { home, mags } from "../../cli/test/golden.ts";
import { freePorts } from "../harness/daemon.ts";
import { type FaultyServer, faultyServer } from "../harness/faulty-server.ts";

const PYTHON = "/usr/bin/python3";
const SDK = new URL("../../sdk/python/src", import.meta.url).pathname;

interface Expected {
  code?: string;
  status?: number;
  /** what a person reads */
  says: RegExp;
}

/** What each client says of it. */
const cases: Record<string, Expected> = {
  down: { code: "unreachable", says: /no answer from http:/ },
  unknown: { code: "unreachable", says: /no answer from http:\/\/no-such-host\.invalid/ },
  "no-tls": { code: "tls", says: /no secure connection to https:/ },
  untrusted: { code: "tls", says: /no secure connection to https:.*(certificate|self-signed)/i },
  "server-error": { code: "internal", status: 500, says: /it is internal/ },
  "bad-gateway": { status: 502, says: /502: <h1>Bad Gateway/ },
  unavailable: { code: "unavailable", status: 503, says: /it is unavailable/ },
  "too-many": { code: "rate_limited", status: 429, says: /it is rate_limited/ },
  unauthorized: { code: "unauthorized", status: 401, says: /it is unauthorized/ },
  "not-json": { code: "malformed_answer", status: 200, says: /no JSON of this API: <h1>Welcome/ },
  "no-object": { code: "malformed_answer", status: 200, says: /no JSON of this API: \[1,2\]/ },
  null: { code: "malformed_answer", status: 200, says: /no JSON of this API: null/ },
  cut: { code: "unreachable", says: /no answer from/ },
  reset: { code: "unreachable", says: /no answer from/ },
  silent: { code: "timeout", says: /no answer from .* within/ },
  endless: { code: "timeout", says: /no answer from .* within/ },
};

let server: FaultyServer;
let urls: Record<string, string>;
beforeAll(async () => {
  server = await faultyServer();
  const [port] = await freePorts(1);
  const special: Record<string, string> = {
    down: `http://127.0.0.1:${port}`,
    unknown: "http://no-such-host.invalid",
    "no-tls": server.url("silent").replace("http:", "https:"),
    untrusted: server.untrusted,
  };
  urls = Object.fromEntries(Object.keys(cases).map((name) => [name, special[name] ?? server.url(name as never)]));
});
afterAll(() => server[Symbol.asyncDispose]());

const upload = { name: "a.txt", data: "a" };

describe("the Node SDK", () => {
  const calls: Record<string, (mags: Mags) => Promise<unknown>> = {
    list: (mags) => mags.list(),
    run: (mags) => mags.run("true"),
    exec: (mags) => mags.exec("job", "true", { timeout: 0.1 }),
    logs: (mags) => mags.logs("job"),
    upload: (mags) => mags.files.upload([upload], { timeout: 1 }),
  };
  test.each(Object.entries(cases))("%s", async (name, { code, status, says }) => {
    const client = new Mags({ apiUrl: urls[name]!, apiToken: "secret", timeout: 1 });
    await Promise.all(
      Object.entries(calls).map(async ([call, work]) => {
        const error = await work(client).catch((thrown: unknown) => thrown);
        expect(error, call).toBeInstanceOf(MagsError);
        expect(error, call).toMatchObject({ message: expect.stringMatching(says), statusCode: status, code });
      }),
    );
  });

  test("each wait has a limit of its own", async () => {
    const client = new Mags({ apiUrl: server.url("silent"), apiToken: "secret", timeout: 1 });
    await expect(client.status("job")).rejects.toMatchObject({ code: "timeout" });
    await expect(client.status("job", { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ code: "aborted" });
    await expect(client.wait("job", { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ code: "aborted" });
    const followed = client.followLogs("job", { signal: AbortSignal.timeout(50) });
    expect(await followed.next()).toMatchObject({ done: true });
    const refused = new Mags({ apiUrl: server.url("unauthorized"), apiToken: "secret" });
    await expect(refused.followLogs("job").next()).rejects.toMatchObject({ statusCode: 401 });
  });
});

test("the Python client says the same, and raises nothing but MagsError", { timeout: 240_000 }, async () => {
  const program = `
import json, sys
from concurrent.futures import ThreadPoolExecutor
from mags import Mags, MagsError

calls = {
    "list": lambda mags: mags.list_jobs(),
    "run": lambda mags: mags.run("true"),
    "exec": lambda mags: mags.exec("job", "true", timeout=0.1),
    "logs": lambda mags: mags.logs("job"),
    "upload": lambda mags: mags.upload_file(b"a", name="a.txt"),
}

def met(case):
    name, url = case
    found = {}
    with Mags(api_token="secret", api_url=url, timeout=1) as mags:
        for call, work in calls.items():
            if call == "upload" and name in ("silent", "endless", "too-many"):
                continue  # it may take an hour
            try:
                found[call] = {"answer": repr(work(mags))}
            except MagsError as error:
                found[call] = {"message": error.message, "status": error.status_code, "code": error.code}
    return name, found

with ThreadPoolExecutor(16) as pool:
    print(json.dumps(dict(pool.map(met, json.load(sys.stdin).items()))))
`;
  const env = { PYTHONPATH: SDK, PYTHONDONTWRITEBYTECODE: "1" };
  const ran = await spawn(PYTHON, ["-c", program], { env, input: JSON.stringify(urls), reject: false });
  expect(ran.exitCode, String(ran.stderr)).toBe(0);
  const found = JSON.parse(String(ran.stdout));
  for (const [name, { code = null, status = null, says }] of Object.entries(cases))
    for (const [call, error] of Object.entries(found[name]))
      expect(error, `${name} ${call}`).toEqual({ message: expect.stringMatching(says), status, code });
});

/** Commands at once; each is a process of its own, which on a busy machine takes seconds to begin. */
const AT_ONCE = 4;

describe("the command line", () => {
  test("each ends with exit code 1 and a sentence, without a stack", { timeout: 400_000 }, async () => {
    writeFileSync(join(home, "a.txt"), "a");
    const others: [string, string[]][] = [
      ["down", ["run", "true"]],
      ["server-error", ["run", "true"]],
      ["not-json", ["file", "upload", join(home, "a.txt")]],
      ["cut", ["exec", "--json", "job", "true"]],
      ["unauthorized", ["logs", "-f", "job"]],
    ];
    const met = [...Object.keys(cases).map((name): [string, string[]] => [name, ["list"]]), ...others];
    // Those that wait for half a minute come first.
    met.sort(([a], [b]) => Number(/silent|endless/.test(b)) - Number(/silent|endless/.test(a)));
    await inParallel(AT_ONCE, met, async ([name, args]) => {
      const result = await mags(args, { MAGS_API_URL: urls[name]!, MAGS_API_TOKEN: "secret" });
      const said = `mags ${args.join(" ")}, ${name}: ${result.stderr}`;
      expect([result.exitCode, result.stdout], said).toEqual([1, ""]);
      expect(String(result.stderr), said).toMatch(/^error: /);
      if (args[0] === "list") expect(result.stderr, said).toMatch(cases[name]!.says);
      expect(String(result.stderr), said).not.toMatch(/\n\s+at |node:internal|TypeError/);
    });
  });

  test("no token", async () => {
    const result = await mags(["list"], { MAGS_API_URL: urls.down! });
    expect(result).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(/^error: no token\n.*mags login/) });
  });
});

const interrupted = [
  ...["list", "status job", "logs job", "logs -f job", "stop job", "sleep job", "sync job", "url job", "new box"],
  ...["run true", "run -d true", "rerun job", "exec job -- true", "exec --json job -- true", "ssh job", "whoami"],
  ...["cp a.txt job:a.txt", "cp job:a.txt b.txt", "set job --no-sleep", "resize ws --disk 3", "node drain n1"],
  ...["workspace export ws", "workspace import ws a.tar", "cron run nightly", "file upload a.txt", "token list"],
];

test("Ctrl-C in the middle of a command ends it, without a stack", { timeout: 400_000 }, async () => {
  for (const name of ["a.txt", "a.tar"]) writeFileSync(join(home, name), "a");
  await inParallel(AT_ONCE, [...interrupted.entries()], async ([number, line]) => {
    const own = `${server.url("silent")}/${number}`;
    const running = mags(line.split(" "), { MAGS_API_URL: own, MAGS_API_TOKEN: "secret" }, { cwd: home });
    const asked = () => server.seen.some((request) => request.includes(` /${number}/api/`));
    await expect.poll(asked, { timeout: 60_000, message: line }).toBe(true);
    running.kill("SIGINT");
    // `run` waits for the answer, to stop the job that it may have begun; the second time it leaves at once.
    if (line.startsWith("run")) setTimeout(() => running.kill("SIGINT"), 500);
    const ended = await running;
    const said = `mags ${line}: ${ended.stderr}`;
    expect([130, "SIGINT"], said).toContain(ended.exitCode ?? ended.signal);
    expect(String(ended.stderr), said).not.toMatch(/\n\s+at |node:internal/);
  });
  expect(existsSync(join(home, "b.txt"))).toBe(false);
});
