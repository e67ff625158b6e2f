import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";

export function addStop(program: Command): void {
  program
    .command("stop")
    .description("stop a job and its machine")
    .argument("<job>", "id or name")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags stop brave-otter-3f2a")
    .action(async (id: string, { json }) => {
      await client().stop(id);
      if (json) printJson({ stopped: id });
      else process.stdout.write(`stopping ${id}\n`);
    });
}
