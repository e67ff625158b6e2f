import { MagsError } from "@mags/sdk";
import { Command, CommanderError } from "commander";
import pc from "picocolors";
import { addBench } from "./commands/bench.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addJobs } from "./commands/jobs.ts";
import { addRun } from "./commands/run.ts";
import { NoToken } from "./config.ts";
import { exitCodes } from "./exit-codes.ts";

/** The `mags` command. */
function program(): Command {
  const mags = new Command("mags")
    .description("run scripts in isolated Linux sandboxes")
    .version("0.1.0")
    // Before the commands, which take it over: wrong usage then comes to `fail` from all of them.
    .exitOverride()
    .showHelpAfterError("(add --help for the options)")
    .addHelpText("after", "\nSettings: MAGS_API_URL, MAGS_API_TOKEN; on the server's own machine root needs none.");
  addRun(mags);
  addJobs(mags);
  addDoctor(mags);
  addBench(mags);
  return mags;
}

/** The one place where an error becomes a message and an exit code. */
function fail(error: unknown): void {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : exitCodes.usage;
    return;
  }
  const message = error instanceof Error ? error.message : String(error);
  const hint = error instanceof MagsError ? error.hint : undefined;
  process.stderr.write(`${pc.red("error")}: ${message}\n${hint ? `${pc.dim("hint")}: ${hint}\n` : ""}`);
  process.exitCode = error instanceof NoToken ? exitCodes.usage : exitCodes.failed;
}

try {
  await program().parseAsync();
} catch (error) {
  fail(error);
}
// A held connection of fetch must not keep a finished command.
process.exit(process.exitCode ?? 0);
