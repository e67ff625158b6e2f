import { readFileSync } from "node:fs";
import type { CronOptions } from "@mags/sdk";
import { type Command, Option } from "commander";
import { client } from "../config.ts";
import { count, keyValue, positive } from "../flags/values.ts";
import { printJson } from "../render/output.ts";
import { harmless, harmlessLines, moment, table } from "../render/table.ts";

interface Flags {
  file?: string;
  schedule?: string;
  name?: string;
  script?: string;
  zone?: string;
  env?: Record<string, string>;
  secret?: Record<string, string>;
  persistent?: boolean;
  timeout?: number;
  memory?: number;
  cpus?: number;
  overlap?: CronOptions["overlap"];
  missed?: CronOptions["missed"];
  catchUp?: number;
  retries?: number;
  retryDelay?: number;
  disabled?: boolean;
  json?: boolean;
}

const SCHEDULE = "<id>";
const KEY = "id of a schedule, or its name where only one has it";

export function addCron(program: Command): void {
  const cron = program
    .command("cron")
    .description("run scripts on a schedule")
    .addHelpText("after", '\nExample:\n  mags cron add "0 3 * * *" --name nightly "sh backup.sh"');
  settings(cron.command("add").alias("create"), true)
    .description("make a schedule")
    .argument("<expression>", "five fields, six with seconds first, or a name such as @hourly")
    .argument("[script...]", "the script; - reads it from standard input")
    .addHelpText(
      "after",
      '\nExample:\n  mags cron add "*/15 * * * *" --name poll --zone Europe/Berlin "python3 poll.py"',
    )
    .action(add);
  command(cron, "list", "list schedules", "mags cron list").alias("ls").action(list);
  command(cron, "show", "show a schedule and its next firings", "mags cron show nightly")
    .argument(SCHEDULE, KEY)
    .action(show);
  settings(cron.command("update"), false)
    .description("change a schedule; what is not named stays as it is")
    .argument(SCHEDULE, KEY)
    .option("--script <script>", "the script")
    .option("--schedule <expression>", "when it is due")
    .addHelpText("after", '\nExample:\n  mags cron update nightly --schedule "30 4 * * *" --retries 2')
    .action(update);
  for (const verb of ["enable", "disable"] as const)
    command(cron, verb, `${verb} a schedule`, `mags cron ${verb} nightly`)
      .argument(SCHEDULE, KEY)
      .action(async (id: string, flags: Flags) => {
        const changed = await client().cron.update(id, { enabled: verb === "enable" });
        say(changed, flags, `${verb}d ${changed.name}`);
      });
  command(cron, "run", "start its job now and print the job's id", "mags cron run nightly")
    .argument(SCHEDULE, KEY)
    .action(async (id: string, flags: Flags) => {
      const { requestId } = await client().cron.run(id);
      say({ request_id: requestId }, flags, requestId);
    });
  command(cron, "history", "list its runs, newest first", "mags cron history nightly")
    .argument(SCHEDULE, KEY)
    .action(history);
  command(cron, "remove", "delete a schedule and its history", "mags cron remove nightly")
    .alias("rm")
    .argument(SCHEDULE, KEY)
    .action(async (id: string, flags: Flags) => {
      await client().cron.delete(id);
      say({ deleted: id }, flags, `deleted ${id}`);
    });
}

const command = (parent: Command, name: string, description: string, example: string): Command =>
  parent
    .command(name)
    .description(description)
    .option("--json", "print JSON")
    .addHelpText("after", `\nExample:\n  ${example}`);

function settings(to: Command, making: boolean): Command {
  const name = new Option("-n, --name <name>", "label of the schedule and its jobs").makeOptionMandatory(making);
  if (making) to.option("--disabled", "do not fire it yet");
  return to
    .addOption(name)
    .option("-f, --file <path>", "read the script from a file")
    .option("--zone <zone>", "time zone, such as Europe/Berlin (default: UTC)")
    .option("-e, --env <KEY=VALUE>", "environment variable (repeatable)", keyValue)
    .option("--secret <KEY=NAME>", "variable that holds a secret, or one version of it, NAME@3 (repeatable)", keyValue)
    .option("-p, --persistent", "keep each job's machine after the script")
    .option("--timeout <seconds>", "time the script may run", count)
    .option("--memory <MiB>", "memory limit", count)
    .option("--cpus <number>", "CPU limit", positive)
    .addOption(
      new Option("--overlap <policy>", "while an earlier script still runs (default: skip)").choices([
        "skip",
        "queue",
        "allow",
      ]),
    )
    .addOption(
      new Option("--missed <policy>", "firings that no server was there for (default: run_once)").choices([
        "skip",
        "run_once",
        "catch_up",
      ]),
    )
    .option("--catch-up <number>", "most missed firings that catch_up makes good", count)
    .option("--retries <number>", "further tries after a failure", (text) => (text === "0" ? 0 : count(text)))
    .option("--retry-delay <seconds>", "time before each further try", count)
    .option("--json", "print JSON");
}

async function add(expression: string, words: string[], flags: Flags): Promise<void> {
  const script = flags.file === undefined ? scriptOf(words) : readFileSync(flags.file, "utf8");
  const enabled = flags.disabled ? false : undefined;
  const options = { ...toOptions(flags), name: flags.name as string, script, cronExpression: expression, enabled };
  const made = await client().cron.create(options);
  say(made, flags, `${made.id}\nnext: ${moment(made.next_run_at) || "never, it is disabled"}`);
}

async function update(id: string, flags: Flags, self: Command): Promise<void> {
  const script = flags.file === undefined ? flags.script : readFileSync(flags.file, "utf8");
  const changes = { ...toOptions(flags), script, cronExpression: flags.schedule };
  if (Object.values(changes).every((value) => value === undefined))
    self.error("error: nothing to change: give at least one option");
  const changed = await client().cron.update(id, changes);
  say(changed, flags, `changed ${changed.name}; next: ${moment(changed.next_run_at) || "never, it is disabled"}`);
}

async function list({ json }: Flags): Promise<void> {
  const answer = await client().cron.list();
  if (json) return printJson(answer);
  if (answer.cron_jobs.length === 0)
    return void process.stdout.write('no schedules; make one with: mags cron add "@daily" --name NAME SCRIPT\n');
  const rows = answer.cron_jobs.map((cron) => [
    cron.id,
    cron.name,
    cron.cron_expression,
    cron.time_zone,
    moment(cron.next_run_at) || "disabled",
    cron.last_status ?? "",
  ]);
  process.stdout.write(table(["ID", "NAME", "SCHEDULE", "ZONE", "NEXT", "LAST"], rows));
}

async function show(id: string, { json }: Flags): Promise<void> {
  const cron = await client().cron.get(id);
  if (json) return printJson(cron);
  for (const [key, value] of Object.entries(cron)) {
    if (value !== null && typeof value !== "object")
      process.stdout.write(`${key.padEnd(20)} ${harmless(String(value))}\n`);
  }
  for (const next of cron.next_runs) process.stdout.write(`${"next".padEnd(20)} ${moment(next)}\n`);
}

async function history(id: string, { json }: Flags): Promise<void> {
  const answer = await client().cron.runs(id);
  if (json) return printJson(answer);
  if (answer.runs.length === 0) return void process.stdout.write("no runs yet\n");
  const rows = answer.runs.map((run) => [
    moment(run.scheduled_at),
    run.kind,
    run.state,
    String(run.exit_code ?? ""),
    [run.from_version, run.version].map((version) => version ?? "-").join(" → "),
    run.request_id ?? "",
    run.reason ?? "",
  ]);
  process.stdout.write(table(["DUE", "KIND", "STATE", "EXIT", "VERSION", "JOB", "WHY"], rows));
}

function say(value: unknown, { json }: Flags, text: string): void {
  if (json) printJson(value);
  else process.stdout.write(`${harmlessLines(text)}\n`);
}

const scriptOf = (words: string[]): string =>
  words.length > 0 && !(words.length === 1 && words[0] === "-") ? words.join(" ") : readFileSync(0, "utf8");

const toOptions = (flags: Flags): CronOptions => ({
  name: flags.name,
  timeZone: flags.zone,
  environment: flags.env,
  secrets: flags.secret,
  persistent: flags.persistent,
  timeout: flags.timeout,
  memoryMb: flags.memory,
  vcpus: flags.cpus,
  overlap: flags.overlap,
  missed: flags.missed,
  catchUp: flags.catchUp,
  retries: flags.retries,
  retryDelay: flags.retryDelay,
});
