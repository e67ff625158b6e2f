import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";
import { harmless } from "../render/table.ts";

export function addStatus(program: Command): void {
  program
    .command("status")
    .description("show one job")
    .argument("<job>", "id or name")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags status brave-otter-3f2a")
    .action(async (id: string, { json }) => {
      const job = await client().status(id);
      if (json) return printJson(job);
      for (const [key, value] of Object.entries(job)) {
        if (value !== null && typeof value !== "object")
          process.stdout.write(`${key.padEnd(20)} ${harmless(String(value))}\n`);
      }
      const { ran_by: ranBy } = job;
      if (ranBy)
        process.stdout.write(
          `${"ran_by".padEnd(20)} ${harmless(`${ranBy.driver_version} (${ranBy.isolation.level}) on ${ranBy.node}, image ${ranBy.image}`)}\n`,
        );
    });
}
