import type { Command } from "commander";
import { client } from "../config.ts";
import { count } from "../flags/values.ts";
import { printJson } from "../render/output.ts";
import { moment, table } from "../render/table.ts";

export function addFile(program: Command): void {
  const file = program
    .command("file")
    .description("upload files for jobs, list and delete them")
    .addHelpText("after", "\nExample:\n  mags file upload data.csv");
  file
    .command("upload")
    .description("upload files and print their ids, for file_ids of a job")
    .argument("<path...>", "files to upload")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags file upload data.csv model.bin")
    .action(upload);
  file
    .command("list")
    .alias("ls")
    .description("list uploaded files, newest first")
    .option("--page <number>", "page", count)
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags file list")
    .action(list);
  file
    .command("delete")
    .alias("rm")
    .description("delete an uploaded file")
    .argument("<id>", "id of the file")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags file delete 7f0c2d1e-5a4b-4c3d-8e2f-1a0b9c8d7e6f")
    .action(remove);
}

async function upload(paths: string[], { json }: { json?: boolean }): Promise<void> {
  const files = await client().files.upload(paths);
  if (json) printJson({ files });
  else for (const file of files) process.stdout.write(`${file.file_id}\n`);
}

async function list({ page, json }: { page?: number; json?: boolean }): Promise<void> {
  const answer = await client().files.list({ page });
  if (json) return printJson(answer);
  if (answer.files.length === 0) process.stdout.write("no files; upload one with: mags file upload PATH\n");
  else
    process.stdout.write(
      table(
        ["ID", "NAME", "BYTES", "EXPIRES"],
        answer.files.map((file) => [file.file_id, file.name, String(file.bytes), moment(file.expires_at)]),
      ),
    );
}

async function remove(id: string, { json }: { json?: boolean }): Promise<void> {
  await client().files.delete(id);
  if (json) printJson({ deleted: id });
  else process.stdout.write(`deleted ${id}\n`);
}
