import { spawn } from "@mags/kit";
import type { Command } from "commander";
import { apiUrl } from "../config.ts";

export function addBench(program: Command): void {
  program
    .command("bench")
    .description("measure this server side by side with the bare runtime (run as root on its machine)")
    .argument("[scenario]", "run or node", "run")
    .option("--runs <number>", "rounds", "30")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags bench node --runs 100")
    .action(async (scenario: string, { runs, json }) => {
      const main = new URL("../../../bench/src/main.ts", import.meta.url).pathname;
      const child = spawn(process.execPath, [main, scenario, "--runs", runs, ...(json ? ["--json"] : [])], {
        stdio: "inherit",
        reject: false,
        env: { MAGS_API_URL: apiUrl },
      });
      process.exitCode = (await child).exitCode ?? 1;
    });
}
