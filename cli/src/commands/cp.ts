import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { spawn } from "@mags/kit";
import type { MachineFiles, MagsError } from "@mags/sdk";
import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";
import { unpackInto } from "../unpack.ts";

export function addCp(program: Command): void {
  program
    .command("cp")
    .description("copy a file or a directory into a live machine or out of it")
    .argument("<from>", "a path here, <job>:<path> there, or - for standard input")
    .argument("<to>", "the other kind of the two; - for standard output")
    .option("--json", "print JSON when it is done")
    .addHelpText(
      "after",
      "\nExample:\n  mags cp ./src brave-otter-3f2a:/srv/src\n  mags cp brave-otter-3f2a:/var/log/app.log .\n\nInto a directory that is there it goes under its own name. Relative paths there begin in /root; a path here with a colon needs ./ before it.",
    )
    .action(cp);
}

async function cp(from: string, to: string, { json }: { json?: boolean }, command: Command): Promise<void> {
  const [source, target] = [inMachine(from), inMachine(to)];
  if (json && to === "-") command.error("error: the file goes to standard output, so JSON cannot");
  if (source && !target) await download(client().machineFiles(source.job), source.path, to);
  else if (target && !source) await upload(from, client().machineFiles(target.job), target.path);
  else command.error("error: one of the two must be a path here, and the other <job>:<path>");
  if (json) printJson({ from, to });
}

/** `<job>:<path>`; a slash before the colon makes it a path here. */
function inMachine(text: string): { job: string; path: string } | undefined {
  const [, job, path] = /^([^/:]+):(.*)$/s.exec(text) ?? [];
  return job === undefined ? undefined : { job, path: path || "." };
}

async function upload(from: string, files: MachineFiles, to: string): Promise<void> {
  if (from === "-") return files.write(to, process.stdin);
  const { isDirectory, mode } = await stat(from).then((found) => ({
    isDirectory: found.isDirectory(),
    mode: (found.mode & 0o777).toString(8).padStart(3, "0"),
  }));
  const target = (await isDirectoryThere(files, to)) ? `${to.replace(/\/+$/, "")}/${basename(from)}` : to;
  if (!isDirectory) return files.write(target, createReadStream(from), { mode });
  const tar = spawn("tar", ["-C", from, "-cf", "-", "."], { buffer: false, stdin: "ignore" });
  await Promise.all([files.unpack(target, tar.iterable({ binary: true })), tar]);
}

async function download(files: MachineFiles, from: string, to: string): Promise<void> {
  if (to === "-") return pipeline(await files.readStream(from), process.stdout, { end: false });
  const target = (await isDirectoryHere(to)) ? join(to, basename(from)) : to;
  if (await isDirectoryThere(files, from)) return unpackInto(await files.pack(from), target);
  const part = `${target}.mags-part`;
  try {
    await pipeline(await files.readStream(from), createWriteStream(part));
    await rename(part, target);
  } finally {
    await rm(part, { force: true });
  }
}

async function isDirectoryHere(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function isDirectoryThere(files: MachineFiles, path: string): Promise<boolean> {
  // With a dot behind it a link to a directory is one.
  return files.stat(`${path.replace(/\/+$/, "")}/.`).then(
    () => true,
    (error: MagsError) => {
      if (error.code !== "not_found" || /no job/.test(error.message)) throw error;
      return false;
    },
  );
}
