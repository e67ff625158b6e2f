import type { Command } from "commander";
import { client } from "../config.ts";
import { count } from "../flags/values.ts";
import { err } from "../render/colours.ts";
import { printJson } from "../render/output.ts";

interface Flags {
  name?: string;
  memory?: number;
  timeout: number;
  json?: boolean;
}

export function addBrowser(program: Command): void {
  program
    .command("browser")
    .description(
      "start a headless Chromium in a machine and print its DevTools WebSocket, for connectOverCDP and the like",
    )
    .option("-n, --name <name>", "label of its job")
    .option("--memory <MiB>", "memory limit (default: 1024)", count)
    .option("--timeout <seconds>", "give up after this long; the first on a node builds the image", count, 300)
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags browser --name shopper")
    .action(open);
}

async function open({ name, memory, timeout, json }: Flags): Promise<void> {
  const options = { timeout, ...(name ? { name } : {}), ...(memory ? { memoryMb: memory } : {}) };
  const { requestId, wsEndpoint, cdpHttpUrl } = await client().browser(options);
  if (json) return printJson({ request_id: requestId, ws_endpoint: wsEndpoint, cdp_http_url: cdpHttpUrl });
  process.stdout.write(`${wsEndpoint}\n`);
  process.stderr.write(`${err.dim(`job ${requestId}; mags stop ${requestId} ends it`)}\n`);
}
