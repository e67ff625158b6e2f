import type { Command } from "commander";
import { client } from "../config.ts";
import { count, positive } from "../flags/values.ts";
import { printJson } from "../render/output.ts";
import { harmless } from "../render/table.ts";

export function addNew(program: Command): void {
  program
    .command("new")
    .description("start a machine that stays, on the workspace of this name; returns when it is up")
    .argument("<name>", "name of the workspace; made where there is none yet")
    .option("-b, --base <name[@version]>", "start from this workspace")
    .option("--no-sleep", "never put the machine to sleep")
    .option("--suspend", "keep its processes and memory while it sleeps (needs a virtual machine)")
    .option("--startup-command <command>", "run when a sleeping machine wakes")
    .option("--memory <MiB>", "memory limit", count)
    .option("--cpus <number>", "CPU limit", positive)
    .option("--disk <GiB>", "disk size", positive)
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags new my-app && mags ssh my-app")
    .action(async (name: string, flags) => {
      const leave = new AbortController();
      process.once("SIGINT", () => leave.abort());
      const job = await client().new(name, {
        name,
        signal: leave.signal,
        baseWorkspaceId: flags.base,
        noSleep: flags.sleep ? undefined : true,
        sleep: flags.suspend ? "suspend" : undefined,
        startupCommand: flags.startupCommand,
        memoryMb: flags.memory,
        vcpus: flags.cpus,
        diskGb: flags.disk,
      });
      if (flags.json) printJson(job);
      else process.stdout.write(`${harmless(name)} is up: mags exec ${harmless(name)}, mags ssh ${harmless(name)}\n`);
    });
}
