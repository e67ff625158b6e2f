import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { type Command, Option } from "commander";
import { client } from "../config.ts";
import { count, positive } from "../flags/values.ts";
import { printJson } from "../render/output.ts";
import { harmless, moment, table } from "../render/table.ts";
import { bytes, diffLines, recovery, versionTable, workspaceTable } from "../render/workspaces.ts";

interface Flags {
  json?: boolean;
  force?: boolean;
  version?: number;
  format?: "tar" | "ext4" | "oci";
  output?: string;
}

const WORKSPACE = "<workspace>";

export function addWorkspace(program: Command): void {
  const workspace = program
    .command("workspace")
    .alias("ws")
    .description("list and change workspaces: disks that are kept, with their versions")
    .addHelpText("after", "\nExample:\n  mags workspace fork app app-next");
  command(workspace, "list", "list workspaces by name", "mags workspace list").alias("ls").action(list);
  command(workspace, "show", "show a workspace and how far it is durable", "mags workspace show app")
    .argument(WORKSPACE)
    .action(show);
  command(workspace, "versions", "list its versions, newest first", "mags workspace versions app")
    .argument(WORKSPACE)
    .action(versions);
  command(workspace, "fork", "make a new workspace from a version, without copying", "mags workspace fork app app-next")
    .argument(WORKSPACE)
    .argument("<new>")
    .addOption(version())
    .action(fork);
  command(workspace, "rollback", "make an old version the latest again", "mags workspace rollback app 3")
    .argument(WORKSPACE)
    .argument("<version>", "number of the version", count)
    .option("--force", "also while a machine is up: it is stopped, and what is not durable is lost")
    .action(rollBack);
  command(workspace, "sync", "make it durable now; returns when it is", "mags workspace sync app")
    .argument(WORKSPACE)
    .action(async (id: string, flags: Flags) => {
      const done = await client().workspaces.sync(id);
      say(done, flags, done.message);
    });
  command(workspace, "verify", "restore a version into a scratch disk and check all of it", "mags workspace verify app")
    .argument(WORKSPACE)
    .addOption(version())
    .action(verify);
  command(workspace, "diff", "show which files changed between two versions", "mags workspace diff app@3 app@5")
    .argument("<from>", "workspace, or one version as name@number; alone: what its version changed")
    .argument("[to]")
    .action(diff);
  command(workspace, "export", "write a version to a file or to standard output", "mags workspace export app > app.tar")
    .argument(WORKSPACE)
    .addOption(version())
    .addOption(
      new Option("--format <format>", "its files, the raw disk, or an image")
        .choices(["tar", "ext4", "oci"])
        .default("tar"),
    )
    .option("-o, --output <path>", "file to write")
    .action(exportVersion);
  command(workspace, "import", "unpack a tar into a workspace", "mags workspace import app app.tar --path /srv")
    .argument(WORKSPACE)
    .argument("[file]", "the tar; standard input without it")
    .option("--path <path>", "directory in the workspace", "/")
    .addOption(
      new Option("--format <format>", "the file is an export: make a new workspace of it").choices([
        "tar",
        "ext4",
        "oci",
      ]),
    )
    .addOption(new Option("--disk <GB>", "size of the new workspace's disk, with --format").argParser(positive))
    .action(importFile);
  command(workspace, "delete", "delete a workspace or, with --version, one version", "mags workspace delete app-next")
    .alias("rm")
    .argument(WORKSPACE)
    .addOption(version("version to delete alone"))
    .option("--force", "also while jobs use it: they are stopped")
    .action(remove);
}

export function addSync(program: Command): void {
  command(program, "sync", "make what a job or workspace has written durable now; returns when it is", "mags sync app")
    .argument("<job>", "id or name of a job, or a workspace")
    .action(async (id: string, flags: Flags) => {
      const done = await client().sync(id);
      say(done, flags, done.message);
    });
}

export function addResize(program: Command): void {
  command(program, "resize", "grow the disk of a workspace, also while it is in use", "mags resize app --disk 10")
    .argument(WORKSPACE)
    .requiredOption("--disk <GiB>", "new size", positive)
    .action(async (id: string, flags: Flags & { disk: number }) => {
      const grown = await client().workspaces.resize(id, flags.disk);
      say(grown, flags, `${grown.workspace_id} has ${grown.disk_gb} GiB`);
    });
}

const command = (parent: Command, name: string, description: string, example: string): Command =>
  parent
    .command(name)
    .description(description)
    .option("--json", "print JSON")
    .addHelpText("after", `\nExample:\n  ${example}`);

const version = (text = "number of a version (default: the latest)") =>
  new Option("--version <number>", text).argParser(count);

function say(answer: object, { json }: Flags, text: string): void {
  if (json) printJson(answer);
  else process.stdout.write(`${harmless(text)}\n`);
}

async function list({ json }: Flags): Promise<void> {
  const answer = await client().workspaces.list();
  if (json) return printJson(answer);
  if (answer.workspaces.length > 0) process.stdout.write(workspaceTable(answer.workspaces));
  else process.stdout.write("no workspaces yet; make one with: mags run -w NAME 'echo hello > file'\n");
}

async function show(id: string, flags: Flags): Promise<void> {
  const shown = await client().workspaces.get(id);
  if (flags.json) return printJson(shown);
  const lines = [
    ["workspace", shown.workspace_id],
    ["disk", `${shown.disk_gb} GiB, ${bytes(shown.size_bytes)} in the latest version`],
    ["versions", `${shown.versions}, which have added ${bytes(shown.stored_bytes)} to the object store`],
    ["durable", recovery(shown.recovery_point)],
    ["node", shown.node ?? "none"],
    [
      "in use by",
      shown.in_use_by.map((job) => `${job.request_id} (${job.name}, ${job.status})`).join(", ") || "nobody",
    ],
    ["jobs", String(shown.job_count)],
    ["created", moment(shown.created_at)],
  ] as const;
  for (const [name, text] of lines) process.stdout.write(`${name.padEnd(10)} ${harmless(text)}\n`);
}

async function versions(id: string, { json }: Flags): Promise<void> {
  const answer = await client().workspaces.versions(id);
  if (json) return printJson(answer);
  if (answer.versions.length > 0) process.stdout.write(versionTable(answer.versions));
  else process.stdout.write("no version yet: nothing in it has been made durable\n");
}

async function fork(id: string, to: string, flags: Flags): Promise<void> {
  const made = await client().workspaces.fork(id, to, { version: flags.version });
  say(made, flags, `made ${made.workspace_id}`);
}

async function rollBack(id: string, to: number, flags: Flags): Promise<void> {
  const made = await client().workspaces.rollBack(id, to, { force: flags.force });
  say(made, flags, `version ${made.version} has the content of version ${to}`);
}

async function verify(id: string, flags: Flags): Promise<void> {
  const report = await client().workspaces.verify(id, { version: flags.version });
  if (!report.ok) process.exitCode = 1;
  if (flags.json) return printJson(report);
  const found = `${report.chunks} chunks, ${bytes(report.bytes)}, ${(report.took_ms / 1000).toFixed(1)} s`;
  process.stdout.write(report.ok ? `sound: ${found}, ${report.mounted?.inodes ?? 0} files\n` : `damaged: ${found}\n`);
  if (report.bad.length > 0)
    process.stdout.write(
      table(
        ["OBJECT", "REASON"],
        report.bad.map((bad) => [bad.key, bad.reason]),
      ),
    );
  else if (!report.ok) process.stdout.write(`${harmless(report.fsck?.output ?? "it could not be mounted")}\n`);
}

async function diff(first: string, second: string | undefined, { json }: Flags): Promise<void> {
  const [name = "", number] = (second ?? first).split("@");
  const version = number === undefined || number === "latest" ? undefined : Number(number);
  const found = await client().workspaces.diff(name, { version, from: second && first });
  if (json) return printJson(found);
  process.stdout.write(diffLines(found));
}

async function exportVersion(id: string, { format = "tar", version: number, output, json }: Flags): Promise<void> {
  const stream = await client().workspaces.export(id, { format, version: number });
  const hash = createHash("sha256");
  let written = 0;
  const counted = async function* () {
    for await (const piece of stream) {
      written += piece.length;
      hash.update(piece);
      yield piece;
    }
  };
  await pipeline(counted, output === undefined ? process.stdout : createWriteStream(output), {
    end: output !== undefined,
  });
  if (output === undefined) return;
  const manifest: ExportManifest = { format: 1, kind: format, bytes: written, sha256: hash.digest("hex") };
  await writeFile(manifestPath(output), `${JSON.stringify(manifest)}\n`);
  say({ path: output, ...manifest }, { json }, `wrote ${bytes(written)} to ${output}, its manifest beside it`);
}

/** What `export` writes beside a file, so that `import` can tell whether it is whole. */
interface ExportManifest {
  format: 1;
  kind: "tar" | "ext4" | "oci";
  bytes: number;
  sha256: string;
}

const manifestPath = (file: string) => `${file}.json`;

async function importFile(id: string, file: string | undefined, flags: ImportFlags): Promise<void> {
  const content = file === undefined || file === "-" ? process.stdin : createReadStream(file);
  const { path, format, disk } = flags;
  const manifest = format === undefined || file === undefined ? undefined : await readManifest(file);
  await client().workspaces.import(id, content, { path, format, diskGb: disk, sha256: manifest?.sha256 });
  if (format === undefined) return say({ workspace_id: id, path }, flags, `unpacked into ${path} of ${id}`);
  const checked = manifest ? ", checked against its manifest" : "";
  say(
    { workspace_id: id, format, sha256: manifest?.sha256 ?? null },
    flags,
    `made ${id} of ${file ?? "standard input"}${checked}`,
  );
}

interface ImportFlags extends Flags {
  path: string;
  disk?: number;
}

async function readManifest(file: string): Promise<ExportManifest | undefined> {
  const text = await readFile(manifestPath(file), "utf8").catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as ExportManifest);
}

async function remove(id: string, flags: Flags): Promise<void> {
  if (flags.version !== undefined) {
    await client().workspaces.deleteVersion(id, flags.version);
    return say(
      { workspace_id: id, version: flags.version, deleted: true },
      flags,
      `deleted version ${flags.version} of ${id}`,
    );
  }
  const gone = await client().workspaces.delete(id, { force: flags.force });
  const stopped = gone.stopped_jobs.length > 0 ? `; stopped ${gone.stopped_jobs.length} job(s)` : "";
  say(gone, flags, `deleted ${id}${stopped}`);
}
