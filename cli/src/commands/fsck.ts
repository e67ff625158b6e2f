import type { Mags } from "@mags/sdk";
import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";
import { harmless, table } from "../render/table.ts";

type Report = Awaited<ReturnType<Mags["nodes"]["fsck"]>>;

export function addFsck(program: Command): void {
  program
    .command("fsck")
    .description("compare the ledger with the machines and the object store; exit code 1 where they differ")
    .option("--repair", "take away what belongs to nothing that lives, and mend what can be mended safely")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags fsck --repair")
    .action(async ({ repair, json }: { repair?: boolean; json?: boolean }) => {
      const report = await client().nodes.fsck({ repair });
      if (json) printJson(report);
      else process.stdout.write(told(report));
      if (!report.clean) process.exitCode = 1;
    });
}

function told({ clean, differences, looked_at, took_ms }: Report): string {
  const { nodes, jobs, workspaces, traces, objects } = looked_at;
  const compared = `${nodes} node(s), ${jobs} running job(s), ${workspaces} workspace(s), ${traces} trace(s), ${objects} object(s)`;
  const took = `${(took_ms / 1000).toFixed(1)} s`;
  if (differences.length === 0) return `nothing disagrees: ${compared}, ${took}\n`;
  const rows = differences.map((each) => [
    each.where,
    harmless(each.what),
    harmless(each.said),
    each.repaired === null ? (each.repair ?? "nothing that is safe") : each.repaired ? "repaired" : "not repaired",
  ]);
  const sum = `${differences.length} difference(s)${clean ? ", all repaired" : ""}: ${compared}, ${took}\n`;
  return table(["WHERE", "WHAT", "DIFFERENCE", "REPAIR"], rows) + sum;
}
