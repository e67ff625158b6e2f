import { setTimeout as delay } from "node:timers/promises";
import { Mags } from "@mags/sdk";

/** Runs the first job through the public API and answers what it printed. Throws when it did not run. */
export async function helloJob(apiUrl: string, apiToken: string): Promise<string> {
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
  const where = dataDir === "/var/lib/mags" ? "" : `MAGS_DATA_DIR=${dataDir} `;
  return `
Mags is ready.
  API   ${url}/api/v1   (${url}/openapi.json)
  token ${dataDir}/admin.token

Try next, in another terminal:
  ${where}cli/bin/mags run 'echo out; echo err >&2; exit 3'
  ${where}cli/bin/mags list
  ${where}cli/bin/mags doctor

Ctrl-C stops the server; running jobs go on and are taken up by the next start.
`;
}
