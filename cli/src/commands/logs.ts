import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson, writeEntry } from "../render/output.ts";

interface Flags {
  follow?: boolean;
  verbose?: boolean;
  json?: boolean;
}

export function addLogs(program: Command): void {
  program
    .command("logs")
    .description("print a job's output: stdout to stdout, stderr to stderr")
    .argument("<job>", "id or name")
    .option("-f, --follow", "go on until the job has ended")
    .option("--verbose", "show what Mags says about the job, on standard error")
    .option("--json", "print each entry as a line of JSON")
    .addHelpText("after", "\nExample:\n  mags logs -f brave-otter-3f2a")
    .action(logs);
}

async function logs(id: string, { follow, verbose, json }: Flags): Promise<void> {
  const mags = client();
  const items = follow
    ? mags.followLogs(id)
    : (await mags.logs(id)).map((entry) => ({ type: "entry" as const, ...entry }));
  for await (const item of items) {
    if (json) printJson(item);
    else if (item.type === "entry") await writeEntry(item, { verbose });
  }
}
