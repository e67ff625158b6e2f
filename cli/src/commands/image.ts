import type { ImageOnNode } from "@mags/sdk";
import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";
import { moment, table } from "../render/table.ts";
import { bytes } from "../render/workspaces.ts";

interface Flags {
  node?: string;
  json?: boolean;
}

export function addImage(program: Command): void {
  const image = program
    .command("image")
    .description("what machines start from: list, build, pull and remove images of the nodes")
    .addHelpText("after", "\nExample:\n  mags image pull docker://docker.io/library/alpine:3.23");
  image
    .command("list")
    .alias("ls")
    .description("list the images of the nodes")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags image list")
    .action(show);
  making(image.command("build"), "build an image by its recipe, where that has changed or it is not there", "browser")
    .argument("<recipe>", "base, alpine or browser")
    .action(make);
  making(
    image.command("pull"),
    "pull an image of a registry, where it has changed or is not there",
    "docker://docker.io/library/alpine:3.23",
  )
    .argument("<reference>", "docker://registry/name:tag")
    .action((reference: string, flags: Flags) =>
      make(reference.includes("://") ? reference : `docker://${reference}`, flags),
    );
  image
    .command("remove")
    .alias("rm")
    .description("remove an image from every node, unless a job or workspace needs it")
    .argument("<image>", "its name")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags image remove browser")
    .action(remove);
}

const making = (command: Command, description: string, example: string): Command =>
  command
    .description(description)
    .option("--node <name>", "only on this node")
    .option("--json", "print JSON; progress goes to standard error")
    .addHelpText("after", `\nExample:\n  mags image ${command.name()} ${example}`);

async function show({ json }: Flags): Promise<void> {
  const answer = await client().images.list();
  if (json) return printJson(answer);
  const rows = answer.images.map((image) => [
    image.image,
    image.node,
    image.state,
    image.bytes === null ? "" : bytes(image.bytes),
    String(image.in_use),
    moment(image.created_at) || "",
    image.state === "failed" ? (image.error ?? "") : (image.step ?? ""),
  ]);
  process.stdout.write(table(["IMAGE", "NODE", "STATE", "SIZE", "IN USE", "MADE", ""], rows));
}

async function make(name: string, { node, json }: Flags): Promise<void> {
  const said = new Map<string, string>();
  const onProgress = (image: ImageOnNode) => {
    const step = image.step ?? (said.has(image.node) ? null : "begun");
    if (step === null || said.get(image.node) === step) return;
    said.set(image.node, step);
    process.stderr.write(`${image.node}: ${step}\n`);
  };
  const images = await client().images.build(name, { node, onProgress });
  if (json) return printJson({ images });
  for (const image of images) process.stdout.write(`${image.node}: ${image.image} ${image.digest}\n`);
}

async function remove(name: string, { json }: Flags): Promise<void> {
  await client().images.remove(name);
  if (json) printJson({ removed: name });
  else process.stdout.write(`removed ${name}\n`);
}
