import { setTimeout as delay } from "node:timers/promises";
import type { Mags } from "@mags/sdk";
import type { Command } from "commander";
import { client } from "../config.ts";
import { err } from "../render/colours.ts";
import { printJson } from "../render/output.ts";
import { moment, table } from "../render/table.ts";
import { addMembership } from "./node-join.ts";

const POLL_MS = 1000;

type Node = Awaited<ReturnType<Mags["nodes"]["drain"]>>;

export function addNode(program: Command): void {
  const node = program
    .command("node")
    .description("the machines that run sandboxes: list them, take one out of service in order, add and remove")
    .addHelpText("after", "\nExample:\n  mags node drain rack-2 --wait");
  node
    .command("list")
    .alias("ls")
    .description("list nodes with what they have to do")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags node list")
    .action(list);
  node
    .command("drain")
    .description("give a node no new work; scripts end, persistent machines move when nobody is in them")
    .argument("<node>")
    .option("--wait", "return when nothing is left on it")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags node drain rack-2 --wait")
    .action(drain);
  node
    .command("undrain")
    .description("put a node back into service")
    .argument("<node>")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags node undrain rack-2")
    .action(async (name: string, { json }) => {
      const shown = await client().nodes.undrain(name);
      if (json) printJson(shown);
      else process.stdout.write(`${name} is ${shown.state}\n`);
    });
  addMembership(node);
}

async function list({ json }: { json?: boolean }): Promise<void> {
  const answer = await client().nodes.list();
  if (json) return printJson(answer);
  const rows = answer.nodes.map((node) => [
    node.name,
    node.state,
    String(node.jobs),
    `${node.used_vcpus} of ${node.vcpus}`,
    `${node.used_memory_mb} of ${node.memory_mb}`,
    node.disk ? `${gib(node.disk.free_bytes)} of ${gib(node.disk.total_bytes)}` : "",
    node.pool ? String(node.pool.idle_vms) : "",
    node.runtimes?.offered.join(",") ?? "",
    moment(node.seen_at),
    Object.entries(node.labels)
      .map((label) => label.join("="))
      .join(","),
  ]);
  process.stdout.write(
    table(
      ["NODE", "STATE", "JOBS", "CPUS", "MEMORY MIB", "DISK GIB FREE", "READY", "RUNTIMES", "SEEN", "LABELS"],
      rows,
    ),
  );
}

async function drain(name: string, { wait, json }: { wait?: boolean; json?: boolean }): Promise<void> {
  const { nodes } = client();
  let node = await nodes.drain(name);
  let told = "";
  while (wait && node.state === "draining") {
    const left = leftOn(node);
    if (left !== told) process.stderr.write(`${err.dim(left)}\n`);
    told = left;
    await delay(POLL_MS);
    const { nodes: all } = await nodes.list();
    node = all.find((other) => other.name === name) ?? node;
  }
  if (json) return printJson(node);
  process.stdout.write(
    node.state === "draining" ? `${name} is draining: ${leftOn(node)}\n` : `${name} is ${node.state}\n`,
  );
}

const leftOn = ({ jobs, dirty_workspaces }: Node) =>
  `${jobs} job(s) and ${dirty_workspaces} workspace(s) that are not durable are left`;

const gib = (bytes: number) => (bytes / 1024 ** 3).toFixed(1);
