import type { ListOptions } from "@mags/sdk";
import type { Command } from "commander";
import { client } from "../config.ts";
import { count } from "../flags/values.ts";
import { printJson } from "../render/output.ts";
import { jobTable } from "../render/table.ts";

export function addList(program: Command): void {
  program
    .command("list")
    .alias("ls")
    .description("list jobs, newest first")
    .option("--status <status>", "only jobs with this status")
    .option("--name <name>", "only jobs with this name")
    .option("--page <number>", "page", count)
    .option("--page-size <number>", "jobs a page", count)
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags list --status running")
    .action(list);
}

async function list({ json, ...filters }: ListOptions & { json?: boolean }): Promise<void> {
  const answer = await client().list(filters);
  if (json) return printJson(answer);
  if (answer.jobs.length > 0) process.stdout.write(jobTable(answer.jobs));
  else process.stdout.write(answer.total > 0 ? "no jobs on this page\n" : `no jobs${none(filters)}\n`);
}

const none = (filters: ListOptions): string =>
  filters.status || filters.name ? " match" : " yet; start one with: mags run 'echo hello'";
