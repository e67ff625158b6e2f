import type { QuotaChange } from "@mags/sdk";
import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";
import { table } from "../render/table.ts";

const FLAGS = {
  sandboxes: "machines up at a time",
  vcpus: "their vcpus together",
  memory_mb: "their memory together, in MiB",
  jobs_per_minute: "jobs started a minute",
  workspaces: "workspaces",
  stored_bytes: "bytes of workspaces in the object store",
} as const satisfies Record<keyof QuotaChange, string>;
type Name = keyof typeof FLAGS;

export function addQuota(program: Command): void {
  const quota = program
    .command("quota")
    .description("what an organisation may have, and has")
    .addHelpText("after", "\nExample:\n  mags quota show");
  quota
    .command("show")
    .description("show limits and use")
    .option("--org <id>", "of this organisation, for who runs the server (default: your own)")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags quota show --org acme")
    .action(show);
  const set = quota
    .command("set")
    .description("set limits of an organisation, for who runs the server; default takes one back to the server's")
    .argument("<org>", "id of the organisation");
  for (const [name, help] of Object.entries(FLAGS)) set.option(`${flag(name)} <number>`, `${help}, or default`);
  set
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags quota set acme --sandboxes 20 --vcpus default")
    .action(change);
}

async function show({ org, json }: { org?: string; json?: boolean }): Promise<void> {
  print(await client().quotas.get(org), json);
}

async function change(org: string, options: Record<string, string> & { json?: boolean }): Promise<void> {
  const limits: QuotaChange = {};
  for (const name of Object.keys(FLAGS) as Name[]) {
    const value = options[name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())];
    if (value !== undefined) limits[name] = value === "default" ? null : toNumber(name, value);
  }
  print(await client().quotas.update(org, limits), options.json);
}

function toNumber(name: string, value: string): number {
  const number = Number(value);
  if (value.trim() === "" || Number.isNaN(number)) throw new Error(`${flag(name)} must be a number or default`);
  return number;
}

type Shown = Awaited<ReturnType<ReturnType<typeof client>["quotas"]["get"]>>;

function print(quota: Shown, json: boolean | undefined): void {
  if (json) {
    printJson(quota);
    return;
  }
  const rows = (Object.keys(FLAGS) as Name[]).map((name) => [
    name,
    String(Math.round(quota.used[name] * 100) / 100),
    String(quota.limits[name] ?? "no limit"),
  ]);
  process.stdout.write(table([quota.organisation.toUpperCase(), "USED", "LIMIT"], rows));
}

const flag = (name: string) => `--${name.replaceAll("_", "-")}`;
