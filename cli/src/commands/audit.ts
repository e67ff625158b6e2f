import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import type { AuditOptions } from "@mags/sdk";
import type { Command } from "commander";
import { verifyFile } from "../audit-file.ts";
import { client } from "../config.ts";
import { exitCodes } from "../exit-codes.ts";
import { positive } from "../flags/values.ts";
import { err } from "../render/colours.ts";
import { complain, printJson } from "../render/output.ts";
import { moment, table } from "../render/table.ts";

type ListFlags = Pick<AuditOptions, "limit" | "action" | "actor" | "target"> & { before?: number; json?: boolean };

export function addAudit(program: Command): void {
  const audit = program
    .command("audit")
    .description("who did what: list it, export it, and prove that an export is complete")
    .addHelpText("after", "\nExample:\n  mags audit export audit.jsonl && mags audit verify audit.jsonl");
  audit
    .command("list")
    .alias("ls")
    .description("list entries, newest first")
    .option("--limit <number>", "how many (default: 50)", positive)
    .option("--before <seq>", "only entries before this one", positive)
    .option("--action <action>", "such as exec, createJob, session.signIn")
    .option("--actor <name>", "name of a token or schedule, e-mail of a member")
    .option("--target <target>", "what it was done to")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags audit list --actor ann@example.org")
    .action(list);
  audit
    .command("export")
    .description("write all entries as JSON lines, oldest first, into a file or to standard output")
    .argument("[file]")
    .option("--from <seq>", "only entries from this one on", positive)
    .addHelpText("after", "\nExample:\n  mags audit export audit.jsonl")
    .action(write);
  audit
    .command("verify")
    .description("check an export without a server; exit code 1 where an entry was changed, moved or taken out")
    .argument("<file>", "as `mags audit export` writes it")
    .option("--head <hash>", "hash of an entry that was noted earlier and must be there (from mags audit list --json)")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags audit verify audit.jsonl")
    .action(verify);
}

async function list({ before, json, ...filter }: ListFlags): Promise<void> {
  const answer = await client().audit.list({ beforeSeq: before, ...filter });
  if (json) {
    printJson(answer);
    return;
  }
  const rows = answer.entries.map((entry) => [
    String(entry.seq),
    moment(entry.at),
    `${entry.actor.kind} ${entry.actor.name}`,
    entry.action,
    entry.outcome,
    entry.target ?? "",
  ]);
  process.stdout.write(table(["SEQ", "AT", "WHO", "ACTION", "OUTCOME", "TARGET"], rows));
}

async function write(file: string | undefined, { from }: { from?: number }): Promise<void> {
  const out = file === undefined ? process.stdout : createWriteStream(file, { mode: 0o600 });
  let count = 0;
  for await (const entry of client().audit.export({ fromSeq: from ?? 1 })) {
    if (!out.write(`${JSON.stringify(entry)}\n`)) await once(out, "drain");
    count++;
  }
  if (file === undefined) return;
  await finished(out.end());
  process.stderr.write(`${err.dim(`${count} entries`)}\n`);
}

async function verify(file: string, { head, json }: { head?: string; json?: boolean }): Promise<void> {
  const verdict = await verifyFile(file, head);
  if (verdict.problem) process.exitCode = exitCodes.failed;
  if (json) printJson({ ...verdict, problem: verdict.problem ?? null });
  else if (verdict.problem) complain(verdict.problem, "not intact");
  else
    process.stdout.write(
      `intact: ${verdict.entries} entries, up to ${verdict.head?.seq ?? 0} ${verdict.head?.hash ?? ""}\n`,
    );
}
