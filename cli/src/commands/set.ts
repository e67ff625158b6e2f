import type { Command } from "commander";
import { client } from "../config.ts";
import { positive } from "../flags/values.ts";
import { printJson } from "../render/output.ts";
import { harmless } from "../render/table.ts";

export function addSet(program: Command): void {
  program
    .command("set")
    .description("change a live job")
    .argument("<job>", "id or name")
    // In this order: --no-sleep alone would make "may sleep" the default, and every other change would set it.
    .option("--sleep", "let it sleep when idle")
    .option("--no-sleep", "never put it to sleep")
    .option("--idle-minutes <minutes>", "let it sleep after so long without use", positive)
    .option("--startup-command <command>", "run when it wakes; an empty one removes it")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags set my-app --no-sleep")
    .action(async (id: string, { sleep, idleMinutes, startupCommand, json }, command: Command) => {
      if (sleep === undefined && startupCommand === undefined && idleMinutes === undefined)
        command.error("error: nothing to change: give --sleep, --no-sleep, --idle-minutes or --startup-command");
      const job = await client().updateJob(id, {
        noSleep: sleep === undefined ? undefined : !sleep,
        idleMinutes,
        startupCommand: startupCommand === "" ? null : startupCommand,
      });
      if (json) printJson(job);
      else process.stdout.write(`changed ${harmless(job.name)}\n`);
    });
}
