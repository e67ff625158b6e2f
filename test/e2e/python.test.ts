/** The Python client: its own tests, types and packages, against one daemon. */
import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { spawn } from "@mags/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";

/** Debian's, which has Debian's packages; another one may come first on PATH. */
const PYTHON = "/usr/bin/python3";
const PACKAGE = new URL("../../sdk/python/", import.meta.url).pathname;

let daemon: Daemon;
let scratch: string;
let env: Record<string, string>;

beforeAll(async () => {
  scratch = await mkdtemp("/tmp/mags-python-");
  daemon = await Daemon.start();
  env = {
    MAGS_API_URL: daemon.url,
    MAGS_API_TOKEN: await daemon.token(),
    PYTHONDONTWRITEBYTECODE: "1",
    PYTHONPYCACHEPREFIX: scratch,
  };
});
afterAll(async () => {
  await daemon.remove();
  await rm(scratch, { recursive: true, force: true });
});

const python = (cwd: string, args: string[], more: Record<string, string> = {}) =>
  spawn(PYTHON, args, { cwd, env: { ...env, ...more }, all: true, reject: false });

const suites = ["calls", "follow", "files", "surface", "live", "session", "guide"];

test("every file of Python tests is run here", async () => {
  const files = (await readdir(join(PACKAGE, "tests"))).filter((name) => name.startsWith("test_"));
  expect(files.sort()).toEqual(suites.map((suite) => `test_${suite}.py`).sort());
});

test.each(suites)("pytest: tests/test_%s.py", { timeout: 300_000 }, async (suite) => {
  const result = await python(PACKAGE, ["-m", "pytest", `tests/test_${suite}.py`]);
  expect(result.exitCode, result.all).toBe(0);
  expect(result.all).toMatch(/\d+ passed/);
});

test("the package is typed as strictly as mypy can ask for", { timeout: 180_000 }, async () => {
  const result = await python(PACKAGE, ["-m", "mypy", "--cache-dir", join(scratch, "mypy")]);
  expect(result.exitCode, result.all).toBe(0);
});

test("wheel and sdist are built, and the wheel runs a script", { timeout: 180_000 }, async () => {
  const source = join(scratch, "source");
  await cp(PACKAGE, source, { recursive: true });
  const built = await python(source, ["-m", "build", "--no-isolation", "--outdir", join(scratch, "dist")]);
  expect(built.exitCode, built.all).toBe(0);
  const files = (await readdir(join(scratch, "dist"))).sort();
  expect(files).toEqual(["mags-0.1.0-py3-none-any.whl", "mags-0.1.0.tar.gz"]);
  const wheel = join(scratch, "dist", files[0] ?? "");
  const unpacked = join(scratch, "unpacked");
  await python(scratch, ["-m", "zipfile", "-e", wheel, unpacked]);
  expect(await readdir(join(unpacked, "mags"))).toContain("py.typed");
  const script = "import mags; print(mags.__file__, mags.Mags().run_and_wait('echo from-the-wheel')['stdout'])";
  const result = await python(scratch, ["-c", script], { PYTHONPATH: unpacked });
  expect(result.all).toContain(unpacked);
  expect(result.all).toContain("from-the-wheel");
});
