import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";
import { moment, table } from "../render/table.ts";

export function addSecret(program: Command): void {
  const secret = program
    .command("secret")
    .description("values that jobs are given by name: mags run --secret NAME=secret")
    .addHelpText("after", "\nExample:\n  mags secret set db-password < password.txt");
  secret
    .command("set")
    .description("set a secret from standard input, or ask for it at a terminal; the last line end is left out")
    .argument("<name>")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags secret set db-password < password.txt")
    .action(set);
  secret
    .command("list")
    .alias("ls")
    .description("list names and versions")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags secret list")
    .action(list);
  secret
    .command("delete")
    .alias("rm")
    .description("delete a secret with all versions")
    .argument("<name>")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags secret delete db-password")
    .action(remove);
}

async function set(name: string, { json }: { json?: boolean }): Promise<void> {
  const value = process.stdin.isTTY
    ? await ask(`value of ${name}: `)
    : (await text(process.stdin)).replace(/\r?\n$/, "");
  const made = await client().secrets.set(name, value);
  if (json) printJson(made);
  else process.stdout.write(`${name}@${made.version}\n`);
}

async function list({ json }: { json?: boolean }): Promise<void> {
  const answer = await client().secrets.list();
  if (json) {
    printJson(answer);
    return;
  }
  const rows = answer.secrets.map((secret) => [
    secret.name,
    String(secret.version),
    moment(secret.updated_at),
    secret.updated_by ?? "",
  ]);
  process.stdout.write(table(["NAME", "VERSION", "SET", "BY"], rows));
}

async function remove(name: string, { json }: { json?: boolean }): Promise<void> {
  const answer = await client().secrets.delete(name);
  if (json) printJson(answer);
  else process.stdout.write(`deleted ${name}\n`);
}

/** Reads a line that is not shown. */
async function ask(question: string): Promise<string> {
  process.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    for await (const line of lines) return line;
    return "";
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}
