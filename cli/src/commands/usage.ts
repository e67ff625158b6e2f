import { type UsageGroup, usageCsv, usageGroups } from "@mags/protocol";
import type { UsageReport } from "@mags/sdk";
import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";
import { table } from "../render/table.ts";
import { bytes } from "../render/workspaces.ts";

interface Options {
  from?: string;
  to?: string;
  by: string;
  csv?: boolean;
  json?: boolean;
}

export function addUsage(program: Command): void {
  program
    .command("usage")
    .description("what was used: jobs, machine time, storage, traffic")
    .option("--from <day>", "first day, YYYY-MM-DD in UTC (default: 29 days before the last)")
    .option("--to <day>", "last day (default: today)")
    .option("--by <groups>", `rows for each of these: ${usageGroups.join(", ")}, with commas between`, "day")
    .option("--csv", "print CSV")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags usage --from 2026-01-01 --by workspace,token --csv")
    .action(show);
}

async function show({ from, to, by, csv, json }: Options): Promise<void> {
  // The server knows what there is to name, and says so.
  const report = await client().usageReport({ from, to, by: by.split(",") as UsageGroup[] });
  if (csv) process.stdout.write(usageCsv(report));
  else if (json) printJson(report);
  else print(report);
}

function print({ by, rows, total }: UsageReport): void {
  const head = [...by.map((name) => name.toUpperCase()), "JOBS", "VCPU HOURS", "GIB HOURS", "STORED GIB HOURS", "SENT"];
  const shown = rows.map((row) => [...by.map((name) => row[name] ?? "-"), ...figures(row)]);
  const sum = by.map((_, index) => (index === 0 ? "total" : ""));
  process.stdout.write(table(head, [...shown, [...sum, ...figures(total)]]));
}

const figures = ({ jobs, vcpu_seconds, gb_seconds, storage_gb_hours, egress_bytes }: UsageReport["total"]) => [
  String(jobs),
  (vcpu_seconds / 3600).toFixed(2),
  (gb_seconds / 3600).toFixed(2),
  storage_gb_hours.toFixed(2),
  bytes(egress_bytes),
];
