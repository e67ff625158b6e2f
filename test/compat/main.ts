/**
 * `npm run test:compat`: the hosted service's published Python client, unmodified, against a server of ours. It is
 * installed from PyPI into a directory that goes again; where PyPI does not answer there is nothing to test.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { run, spawn } from "@mags/kit";
import { Daemon } from "../harness/daemon.ts";

const PUBLISHED = "magpie-mags>=1.3,<2";
const TESTS = join(import.meta.dirname, "published_test.py");

const scratch = await mkdtemp("/tmp/mags-compat-");
try {
  process.exitCode = await main();
} finally {
  await rm(scratch, { recursive: true, force: true });
}

async function main(): Promise<number> {
  const python = await install();
  if (typeof python !== "string") {
    console.log(`PyPI does not give ${PUBLISHED} here, so nothing was tested: ${python.reason}`);
    return 0;
  }
  const version = await run(python, ["-c", "import importlib.metadata as m; print(m.version('magpie-mags'))"]);
  console.log(`magpie-mags ${version}`);
  const daemon = await Daemon.start();
  try {
    const env = { MAGS_API_URL: daemon.url, MAGS_API_TOKEN: await daemon.token(), PYTHONDONTWRITEBYTECODE: "1" };
    const args = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5", TESTS, ...process.argv.slice(2)];
    const result = await spawn(python, args, { env, stdio: "inherit", reject: false });
    return result.exitCode ?? 1;
  } finally {
    await daemon.remove();
  }
}

/** The interpreter that has the published client, or why there is none. */
async function install(): Promise<string | { reason: string }> {
  const directory = join(scratch, "venv");
  await run("/usr/bin/python3", ["-m", "venv", directory]);
  const python = join(directory, "bin", "python");
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"];
  const result = await spawn(python, [...pip, PUBLISHED, "pytest"], { reject: false });
  if (result.exitCode === 0) return python;
  const lines = String(result.stderr).trim().split("\n");
  return { reason: lines.at(-1) ?? "" };
}
