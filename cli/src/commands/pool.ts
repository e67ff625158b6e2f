import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";

export function addPool(program: Command): void {
  program
    .command("pool")
    .description("show how many sandboxes are ready and in use")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags pool")
    .action(async ({ json }) => {
      const pool = await client().poolStatus();
      if (json) printJson(pool);
      else process.stdout.write(`${pool.idle_vms} ready, ${pool.busy_vms} in use\n`);
    });
}
