import type { TokenOptions } from "@mags/sdk";
import { type Command, Option } from "commander";
import { client } from "../config.ts";
import { positive } from "../flags/values.ts";
import { err } from "../render/colours.ts";
import { printJson } from "../render/output.ts";
import { moment, table } from "../render/table.ts";

interface Flags {
  scope?: NonNullable<TokenOptions["scopes"]>[number];
  days?: number;
  json?: boolean;
}

export function addToken(program: Command): void {
  const token = program
    .command("token")
    .description("make, list and revoke API tokens")
    .addHelpText("after", "\nExample:\n  mags token create ci --scope run --days 90");
  token
    .command("create")
    .description("make a token and print it; it is shown this once")
    .argument("<name>", "label of the token")
    .addOption(
      new Option("--scope <scope>", "what it may do: read, run (and read), admin (and run)")
        .choices(["read", "run", "admin", "operator"])
        .default("run"),
    )
    .option("--days <number>", "how long it is valid (default: for ever)", positive)
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags token create ci --scope run --days 90")
    .action(create);
  token
    .command("list")
    .alias("ls")
    .description("list tokens")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags token list")
    .action(list);
  token
    .command("revoke")
    .alias("rm")
    .description("revoke a token, at once and on every server")
    .argument("<token>", "id or name")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags token revoke ci")
    .action(revoke);
}

async function create(name: string, { scope, days, json }: Flags): Promise<void> {
  const made = await client().tokens.create(name, { scopes: scope && [scope], expiresInDays: days });
  if (json) return printJson(made);
  process.stdout.write(`${made.token}\n`);
  process.stderr.write(`${err.dim("keep it now: it is not shown again")}\n`);
}

async function list({ json }: Flags): Promise<void> {
  const answer = await client().tokens.list();
  if (json) return printJson(answer);
  const rows = answer.tokens.map((token) => [
    token.id,
    token.name,
    token.scopes.join(","),
    moment(token.last_used_at) || "never",
    moment(token.expires_at) || "never",
  ]);
  process.stdout.write(table(["ID", "NAME", "SCOPES", "USED", "EXPIRES"], rows));
}

async function revoke(idOrName: string, { json }: Flags): Promise<void> {
  const { tokens } = client();
  const id = (await tokens.list()).tokens.find(({ name }) => name === idOrName)?.id ?? idOrName;
  await tokens.revoke(id);
  if (json) printJson({ revoked: id });
  else process.stdout.write(`revoked ${idOrName}\n`);
}
