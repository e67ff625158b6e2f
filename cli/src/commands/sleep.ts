import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";
import { harmless } from "../render/table.ts";

export function addSleep(program: Command): void {
  addVerb(program, "sleep", "put the machine of a persistent job away; whoever wants in wakes it");
}

export function addWake(program: Command): void {
  addVerb(program, "wake", "wake a sleeping machine, and wait until it is up");
}

function addVerb(program: Command, verb: "sleep" | "wake", description: string): void {
  program
    .command(verb)
    .description(description)
    .argument("<job>", "id, name or workspace")
    .option("--json", "print JSON")
    .addHelpText("after", `\nExample:\n  mags ${verb} my-app`)
    .action(async (id: string, { json }) => {
      const job = await client()[verb](id);
      if (json) printJson(job);
      else process.stdout.write(`${harmless(job.name)} is ${job.status}\n`);
    });
}
