import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";
import { moment, table } from "../render/table.ts";

interface Flags {
  name?: string;
  json?: boolean;
}

export function addSshKey(program: Command): void {
  const key = program
    .command("ssh-key")
    .description("SSH keys of your own, for every live machine")
    .addHelpText("after", "\nExample:\n  mags ssh-key add ~/.ssh/id_ed25519.pub");
  key
    .command("add")
    .description("register a public key; it logs in with the job's id or name as user")
    .argument("<file>", "the public half, such as ~/.ssh/id_ed25519.pub")
    .option("-n, --name <name>", "label; the key's comment by default")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags ssh-key add ~/.ssh/id_ed25519.pub\n  ssh -p 7072 my-app@127.0.0.1")
    .action(add);
  key
    .command("list")
    .alias("ls")
    .description("list registered keys")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags ssh-key list")
    .action(list);
  key
    .command("remove")
    .alias("rm")
    .description("delete a registered key")
    .argument("<id>", "id of the key")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags ssh-key remove 7f0c2d1e-5a4b-4c3d-8e2f-1a0b9c8d7e6f")
    .action(remove);
}

async function add(file: string, { name, json }: Flags): Promise<void> {
  const key = await client().access.addSshKey(readFileSync(file, "utf8"), { name });
  if (json) printJson(key);
  else process.stdout.write(`${key.id}  ${key.fingerprint}\n`);
}

async function list({ json }: Flags): Promise<void> {
  const answer = await client().access.listSshKeys();
  if (json) return printJson(answer);
  const rows = answer.keys.map((key) => [key.id, key.name, key.fingerprint, moment(key.created_at)]);
  if (rows.length === 0) process.stdout.write("no keys; register one with: mags ssh-key add FILE\n");
  else process.stdout.write(table(["ID", "NAME", "FINGERPRINT", "ADDED"], rows));
}

async function remove(id: string, { json }: Flags): Promise<void> {
  await client().access.deleteSshKey(id);
  if (json) printJson({ deleted: id });
  else process.stdout.write(`deleted ${id}\n`);
}
