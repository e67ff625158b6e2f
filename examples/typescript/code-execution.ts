/** Run code that is not trusted: a fresh machine for each run, with limits, and nothing of it left. */
import { Mags } from "@mags/sdk";

const mags = new Mags();

/** Runs JavaScript of a user; answers what it printed, or why it failed. */
async function execute(code: string): Promise<string> {
  const fileIds = await mags.uploadFiles([{ name: "main.js", data: code }]);
  const limits = { ephemeral: true, network: "none", memoryMb: 256, timeout: 30 } as const;
  const { status, exitCode, stdout, stderr, error } = await mags.runAndWait("node main.js", { fileIds, ...limits });
  if (status === "error") return `not finished: ${error}`;
  return exitCode === 0 ? stdout.trim() : (/^\w*Error.*$/m.exec(stderr)?.[0] ?? stderr);
}

console.log(await execute("console.log(Array.from({ length: 101 }, (_, n) => n).reduce((a, b) => a + b))"));
console.log(await execute("null.x"));
console.log(await execute("await fetch('http://example.com')"));
