import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { spawn } from "@mags/kit";
import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";
import { bytes } from "../render/workspaces.ts";

const restoreProgram = new URL("../../../magsd/src/restore.ts", import.meta.url).pathname;

export function addBackup(program: Command): void {
  program
    .command("backup")
    .description("write a backup of the server's database to a file; objects and keys are not in it")
    .argument("<file>")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags backup mags-$(date +%F).tar.zst")
    .action(backup);
}

export function addRestore(program: Command): void {
  program
    .command("restore")
    .description("restore a backup into an empty database (on the server's machine, while magsd is stopped)")
    .argument("<file>")
    .option("--check", "only read it: is it whole, and are the objects that it needs there")
    .option("--allow-missing", "also when objects are missing; the versions that need them cannot be used")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags restore --check mags-2026-11-25.tar.zst")
    .action(restore);
}

/** Under another name first, so that a file of that name is always whole. */
async function backup(file: string, { json }: { json?: boolean }): Promise<void> {
  const part = `${file}.part`;
  let written = 0;
  async function* counted(stream: AsyncIterable<Uint8Array>) {
    for await (const piece of stream) {
      written += piece.length;
      yield piece;
    }
  }
  try {
    await pipeline(counted(await client().nodes.backup()), createWriteStream(part, { mode: 0o600, flush: true }));
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  if (json) printJson({ path: file, bytes: written });
  else process.stdout.write(`wrote ${bytes(written)} to ${file}\n`);
}

async function restore(
  file: string,
  flags: { check?: boolean; allowMissing?: boolean; json?: boolean },
): Promise<void> {
  const given = [
    ...(flags.check ? ["--check"] : []),
    ...(flags.allowMissing ? ["--allow-missing"] : []),
    ...(flags.json ? ["--json"] : []),
  ];
  const child = spawn(process.execPath, [restoreProgram, ...given, "--", file], { stdio: "inherit", reject: false });
  process.exitCode = (await child).exitCode ?? 1;
}
