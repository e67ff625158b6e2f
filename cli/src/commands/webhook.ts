import type { WebhookOptions } from "@mags/sdk";
import type { Command } from "commander";
import { client } from "../config.ts";
import { err } from "../render/colours.ts";
import { printJson } from "../render/output.ts";
import { moment, table } from "../render/table.ts";

interface Flags {
  events?: string;
  description?: string;
  json?: boolean;
}

export function addWebhook(program: Command): void {
  const webhook = program
    .command("webhook")
    .description("URLs that are told of jobs, and what was delivered to them")
    .addHelpText("after", "\nExample:\n  mags webhook add https://example.com/hook --events job.error");
  const command = (name: string, description: string, example: string) =>
    webhook.command(name).description(description).addHelpText("after", `\nExample:\n  mags webhook ${example}`);
  command("add", "add a URL and print the key of its signatures; it is shown this once", "add https://example.com/hook")
    .argument("<url>")
    .option("--events <list>", "such as job.completed,job.error (default: all ends of jobs)")
    .option("--description <text>", "what it is for")
    .option("--json", "print JSON")
    .action(add);
  command("list", "list webhooks", "list").alias("ls").option("--json", "print JSON").action(list);
  command("delete", "delete a webhook with its deliveries", "delete 0b5e…")
    .alias("rm")
    .argument("<id>")
    .option("--json", "print JSON")
    .action(remove);
  command("enable", "switch a webhook on again", "enable 0b5e…")
    .argument("<id>")
    .option("--json", "print JSON")
    .action((id: string, flags: Flags) => enable(id, true, flags));
  command("disable", "switch a webhook off", "disable 0b5e…")
    .argument("<id>")
    .option("--json", "print JSON")
    .action((id: string, flags: Flags) => enable(id, false, flags));
  command("rotate", "print a new key for signatures; the one before ends", "rotate 0b5e…")
    .argument("<id>")
    .option("--json", "print JSON")
    .action(rotate);
  command("test", "send a test", "test 0b5e…").argument("<id>").option("--json", "print JSON").action(test);
  command("deliveries", "list what was delivered, newest first", "deliveries 0b5e… --dead")
    .argument("<id>")
    .option("--dead", "only what was given up")
    .option("--json", "print JSON")
    .action(deliveries);
  command("replay", "deliver something again", "replay 0b5e… 77aa…")
    .argument("<id>")
    .argument("<delivery>")
    .option("--json", "print JSON")
    .action(replay);
}

async function add(url: string, { events, description, json }: Flags): Promise<void> {
  const wanted = events?.split(",").map((event) => event.trim()) as WebhookOptions["events"];
  printKey(await client().webhooks.create(url, { events: wanted, description }), json);
}

async function list({ json }: Flags): Promise<void> {
  const answer = await client().webhooks.list();
  const rows = answer.webhooks.map((hook) => [
    hook.id,
    hook.url,
    hook.events.join(","),
    hook.enabled ? (hook.failing_since ? `failing since ${moment(hook.failing_since)}` : "on") : "off",
  ]);
  if (json) printJson(answer);
  else process.stdout.write(table(["ID", "URL", "EVENTS", "STATE"], rows));
}

async function remove(id: string, { json }: Flags): Promise<void> {
  const answer = await client().webhooks.delete(id);
  if (json) printJson(answer);
  else process.stdout.write(`deleted ${id}\n`);
}

async function enable(id: string, enabled: boolean, { json }: Flags): Promise<void> {
  const answer = await client().webhooks.update(id, { enabled });
  if (json) printJson(answer);
  else process.stdout.write(`${id} is ${answer.enabled ? "on" : "off"}\n`);
}

async function rotate(id: string, { json }: Flags): Promise<void> {
  printKey(await client().webhooks.rotate(id), json);
}

async function test(id: string, { json }: Flags): Promise<void> {
  const answer = await client().webhooks.test(id);
  if (json) printJson(answer);
  else process.stdout.write(`${answer.id} is on its way\n`);
}

async function deliveries(id: string, { dead, json }: Flags & { dead?: boolean }): Promise<void> {
  const answer = await client().webhooks.deliveries(id, dead ? { state: "dead" } : {});
  const rows = answer.deliveries.map((delivery) => [
    delivery.id,
    delivery.event,
    delivery.state,
    String(delivery.attempts),
    moment(delivery.created_at),
    delivery.error ?? "",
  ]);
  if (json) printJson(answer);
  else process.stdout.write(table(["ID", "EVENT", "STATE", "TRIES", "AT", "ERROR"], rows));
}

async function replay(id: string, delivery: string, { json }: Flags): Promise<void> {
  const answer = await client().webhooks.replay(id, delivery);
  if (json) printJson(answer);
  else process.stdout.write(`${answer.id} is on its way\n`);
}

function printKey(made: { id: string; secret: string }, json: boolean | undefined): void {
  if (json) {
    printJson(made);
    return;
  }
  process.stdout.write(`${made.secret}\n`);
  process.stderr.write(`${err.dim(`key of webhook ${made.id}; keep it now: it is not shown again`)}\n`);
}
