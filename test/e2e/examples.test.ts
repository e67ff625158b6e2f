/** Every program in `examples/`, run as a user runs it, against one daemon; what it prints is looked at. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Running, spawn } from "@mags/kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Daemon, freePorts } from "../harness/daemon.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const PYTHON = "/usr/bin/python3";
const TIMEOUT = { timeout: 180_000 };

let daemon: Daemon;
let env: Record<string, string>;
beforeAll(async () => {
  daemon = await Daemon.start();
  env = {
    MAGS_API_URL: daemon.url,
    MAGS_API_TOKEN: await daemon.token(),
    PYTHONPATH: `${join(ROOT, "sdk/python/src")}:${join(ROOT, "examples/python")}`,
    PYTHONDONTWRITEBYTECODE: "1",
    // Where the examples use the system's ssh, it shall know nobody's keys.
    HOME: daemon.dataDir,
  };
});
afterAll(() => daemon.remove());

/** What each prints, in both languages. */
const printed: Record<string, (string | RegExp)[]> = {
  code_execution: [
    "5050",
    /^(ZeroDivisionError: division by zero|TypeError: Cannot read properties of null.*)$/,
    /Error|resolution/,
  ],
  agent_tool: [
    "[exit code 0]",
    "42",
    "[exit code 0]",
    "cat: /no/such/file: No such file or directory",
    "[exit code 1]",
    /^\["shell", ?"shell"\]$/,
  ],
  background_jobs: [
    ...["handed over: 4", "slow: step 1", "slow: step 2", "slow: step 3", "1 squared: 1 (completed)"],
    ...["2 squared: 4 (completed)", "3 squared: 9 (completed)", "4 squared: 16 (completed)"],
    "failed with 7 no such luck",
  ],
  dev_environment: ["hello", /^(print|console.log)\("hello"\);?$/, /^kept: [Tt]rue$/],
  ci_matrix: [
    ...["fast with seed 1 is good", "full with seed 1 is good", "fast with seed 2 is good", "full with seed 2 is good"],
    "4 of 4 passed",
  ],
  scheduled_task: ["next: 03:00", "this was run number 1", "this was run number 2", /^enabled: [Ff]alse$/],
  web_preview: ["<h1>first</h1>", "<h1>second</h1>", "asleep: sleeping", "<h1>second</h1>"],
};
const frameworks = ["fastapi_app", "django_app", "flask_app"];

test("every example is run here", async () => {
  const stems = async (folder: string) =>
    (await readdir(join(ROOT, "examples", folder)))
      .filter((name) => /\.(py|ts)$/.test(name))
      .map((name) => name.replace(/\.\w+$/, "").replaceAll("-", "_"))
      .sort();
  const patterns = Object.keys(printed).sort();
  expect(await stems("typescript")).toEqual(patterns);
  expect(await stems("python")).toEqual([...patterns, ...frameworks].sort());
});

describe.each([
  ["Python", PYTHON, (name: string) => `examples/python/${name}.py`],
  ["TypeScript", process.execPath, (name: string) => `examples/typescript/${name.replaceAll("_", "-")}.ts`],
])("in %s", (_, program, pathOf) => {
  test.each(Object.keys(printed))("%s", TIMEOUT, async (name) => {
    const result = await spawn(program, [pathOf(name)], { cwd: ROOT, env, reject: false, all: true });
    expect(result.exitCode, result.all).toBe(0);
    const lines = String(result.stdout).split("\n");
    const wanted = (printed[name] ?? []).map((line) => (typeof line === "string" ? line : expect.stringMatching(line)));
    expect(lines, result.all).toEqual(wanted);
  });
});

describe("a web app", () => {
  const commands: Record<string, (port: string) => string[]> = {
    fastapi_app: (port) => ["-m", "uvicorn", "fastapi_app:app", "--port", port],
    django_app: (port) => ["examples/python/django_app.py", "runserver", "--noreload", `127.0.0.1:${port}`],
    flask_app: (port) => ["-m", "flask", "--app", "flask_app", "run", "--port", port],
  };

  async function post(url: string, body: object) {
    const headers = { "content-type": "application/json" };
    const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
    return { status: response.status, body: (await response.json()) as Record<string, string> };
  }

  async function answers(url: string, app: Running): Promise<void> {
    const ended = app.then((result) => Promise.reject(new Error(`it ended: ${result.all}`)));
    const up = async () => {
      while (!(await fetch(url).then(Boolean, () => false))) await delay(100);
    };
    ended.catch(() => undefined);
    await Promise.race([up(), ended]);
  }

  test.each(frameworks)("%s runs code, streams output and answers errors", TIMEOUT, async (name) => {
    const [port] = await freePorts(1);
    const url = `http://127.0.0.1:${port}`;
    const app = spawn(PYTHON, commands[name]!(String(port)), { cwd: ROOT, env, reject: false, all: true });
    try {
      await answers(url, app);
      const done = await post(`${url}/run`, { code: "import sys; print(6 * 7); sys.exit(3)" });
      expect(done).toEqual({ status: 200, body: { exit_code: 3, stdout: "42\n", stderr: "" } });
      const started = await post(`${url}/jobs`, { code: "for n in 1 2 3; do echo line $n; sleep 0.2; done" });
      expect(started.status).toBe(202);
      const output = await fetch(`${url}/jobs/${started.body.id}/output`);
      expect(await output.text()).toBe("line 1\nline 2\nline 3\n");
      const missing = await fetch(`${url}/jobs/00000000-0000-4000-8000-000000000000/output`);
      expect(missing.status).toBe(404);
      expect(await missing.json()).toEqual({ detail: expect.stringContaining("no job") });
    } finally {
      app.kill("SIGTERM");
      await app;
    }
  });
});
