import type { Command } from "commander";
import pc from "picocolors";
import type { Check } from "../doctor/check.ts";
import { runChecks } from "../doctor/checks.ts";

const marks = { ok: pc.green("ok     "), warn: pc.yellow("warn   "), missing: pc.red("missing") };

export function addDoctor(program: Command): void {
  program
    .command("doctor")
    .description("say what this host can do, and how to mend what is missing (run as root)")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags doctor\n\nExit codes: 0 this host can run sandboxes, 1 it cannot.")
    .action(async ({ json }) => {
      const checks = await runChecks();
      process.stdout.write(json ? `${JSON.stringify(checks)}\n` : checks.map(line).join(""));
      process.exitCode = checks.some((check) => check.state === "missing") ? 1 : 0;
    });
}

function line(check: Check): string {
  const remedy = check.remedy ? `\n                              ${pc.dim(check.remedy)}` : "";
  return `${marks[check.state]}  ${check.name.padEnd(18)}  ${check.found}${remedy}\n`;
}
