import { spawn } from "@mags/kit";
import { type Command, Option } from "commander";
import { benchEnvironment } from "../config.ts";
import { count } from "../flags/values.ts";

const main = new URL("../../../bench/src/main.ts", import.meta.url).pathname;

export function addBench(program: Command): void {
  program
    .command("bench")
    .description("measure this server side by side with the bare runtime (run as root on its machine)")
    .argument("[scenario]", "run or node", "run")
    .addOption(new Option("--runs <number>", "rounds (default: 30 of run, 100 of node)").argParser(count))
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags bench node --runs 100")
    .action(async (scenario: string, { runs, json }) => {
      const flags = [...(runs ? ["--runs", String(runs)] : []), ...(json ? ["--json"] : [])];
      const child = spawn(process.execPath, [main, scenario, ...flags], {
        stdio: "inherit",
        reject: false,
        env: benchEnvironment(),
      });
      process.exitCode = (await child).exitCode ?? 1;
    });
}
