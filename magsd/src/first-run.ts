import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Mags } from "@mags/sdk";

/** Where this data directory has not seen its first job yet: runs it and answers what it printed, else answers nothing. */
export async function firstRun(dataDir: string, apiUrl: string, apiToken: string): Promise<string> {
  const done = join(dataDir, "first-run-done");
  const seen = await access(done).then(
    () => true,
    () => false,
  );
  if (seen) return "";
  const output = await helloJob(apiUrl, apiToken);
  await writeFile(done, "");
  return output;
}

/** Runs the first job through the public API and answers what it printed. Throws when it did not run. */
async function helloJob(apiUrl: string, apiToken: string): Promise<string> {
  const mags = new Mags({ apiUrl, apiToken });
  const result = await mags.runAndWait("echo 'Hello from a VM!'", { name: "hello", timeout: 60 });
  if (result.status !== "completed" || result.exitCode !== 0) {
    throw new Error(`the first job ended as ${result.status}: ${result.error ?? result.stderr}`);
  }
  return result.stdout;
}

/** Waits until the server says that it can run jobs. Throws after `seconds`, with what it said last. */
export async function waitUntilReady(apiUrl: string, seconds: number): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  let said = "";
  while (Date.now() < deadline) {
    const response = await fetch(`${apiUrl}/readyz`).catch(() => undefined);
    if (response?.ok) return;
    said = (await response?.text()) ?? "no answer";
    await delay(20);
  }
  throw new Error(`not ready after ${seconds} s: ${said}`);
}

/** What a person reads when the daemon is up. */
export function welcome(url: string, dataDir: string): string {
  const address = url === "http://127.0.0.1:7070" ? "" : `MAGS_API_URL=${url} `;
  const where = `${dataDir === "/var/lib/mags" ? "" : `MAGS_DATA_DIR=${dataDir} `}${address}`;
  return `
Mags is ready.
  dashboard ${url}
  API       ${url}/api/v1   (${url}/openapi.json)
  token     ${dataDir}/admin.token

Try next, in another terminal:
  ${where}cli/bin/mags run 'echo out; echo err >&2; exit 3'
  ${where}cli/bin/mags list
  ${where}cli/bin/mags doctor

Ctrl-C stops the server; running jobs go on and are taken up by the next start.
`;
}
