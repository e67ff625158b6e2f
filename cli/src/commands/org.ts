import type { Command } from "commander";
import { client } from "../config.ts";
import { err } from "../render/colours.ts";
import { printJson } from "../render/output.ts";
import { moment, table } from "../render/table.ts";

export function addOrg(program: Command): void {
  const org = program
    .command("org")
    .description("make and list organisations, for who runs the server")
    .addHelpText("after", "\nExample:\n  mags org create acme");
  org
    .command("create")
    .description("make an organisation and print its first token; it is shown this once")
    .argument("<id>", "a-z 0-9 -")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags org create acme")
    .action(create);
  org
    .command("list")
    .alias("ls")
    .description("list organisations")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags org list")
    .action(list);
}

async function create(id: string, { json }: { json?: boolean }): Promise<void> {
  const made = await client().tokens.createOrganisation(id);
  if (json) return printJson(made);
  process.stdout.write(`${made.token.token}\n`);
  process.stderr.write(`${err.dim("its admin token; keep it now: it is not shown again")}\n`);
}

async function list({ json }: { json?: boolean }): Promise<void> {
  const answer = await client().tokens.organisations();
  if (json) return printJson(answer);
  const rows = answer.organisations.map((org) => [org.id, String(org.tokens), moment(org.created_at)]);
  process.stdout.write(table(["ID", "TOKENS", "CREATED"], rows));
}
