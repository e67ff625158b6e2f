import type { MemberOptions } from "@mags/sdk";
import { type Command, Option } from "commander";
import { client } from "../config.ts";
import { err } from "../render/colours.ts";
import { printJson } from "../render/output.ts";
import { harmless, moment, table } from "../render/table.ts";

interface Flags {
  role?: NonNullable<MemberOptions["role"]>;
  name?: string;
  json?: boolean;
}

const role = () =>
  new Option("--role <role>", "owner, admin (all but owners), member (runs things) or viewer").choices([
    "owner",
    "admin",
    "member",
    "viewer",
  ]);

export function addMember(program: Command): void {
  const member = program
    .command("member")
    .description("invite, list, change and delete the people of the organisation")
    .addHelpText("after", "\nExample:\n  mags member add ann@example.org --role admin");
  member
    .command("add")
    .description("add somebody and print the link to hand on, where a password is chosen; it is shown this once")
    .argument("<email>")
    .addOption(role())
    .option("--name <name>", "how the member is called")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags member add ann@example.org --role admin")
    .action(add);
  member
    .command("list")
    .alias("ls")
    .description("list members")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags member list")
    .action(list);
  member
    .command("set")
    .description("change a member's role, or shut a member out (--disable) and let it in again (--enable)")
    .argument("<member>", "e-mail or id")
    .addOption(role())
    .option("--name <name>", "how the member is called")
    .option("--disable", "no sign-in and no token of the member works any more")
    .option("--enable", "undo that")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags member set ann@example.org --disable")
    .action(set);
  member
    .command("invite")
    .description("print a new link, also for a lost password; the one before ends")
    .argument("<member>", "e-mail or id")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags member invite ann@example.org")
    .action(invite);
  member
    .command("delete")
    .alias("rm")
    .description("delete a member, with the member's tokens and sign-ins")
    .argument("<member>", "e-mail or id")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags member delete ann@example.org")
    .action(remove);
}

async function add(email: string, { role, name, json }: Flags): Promise<void> {
  printInvite(await client().members.add(email, { role, name }), json);
}

async function list({ json }: Flags): Promise<void> {
  const answer = await client().members.list();
  if (json) return printJson(answer);
  const rows = answer.members.map((member) => [
    member.email,
    member.name,
    member.role,
    member.state,
    moment(member.last_sign_in_at) || "never",
  ]);
  process.stdout.write(table(["E-MAIL", "NAME", "ROLE", "STATE", "SIGNED IN"], rows));
}

async function set(who: string, flags: Flags & { disable?: boolean; enable?: boolean }): Promise<void> {
  const { role, name, disable, enable, json } = flags;
  const disabled = disable ? true : enable ? false : undefined;
  const member = await client().members.update(await idOf(who), { role, name, disabled });
  if (json) return printJson(member);
  process.stdout.write(`${harmless(member.email)} is ${member.role}, ${member.state}\n`);
}

async function invite(who: string, { json }: Flags): Promise<void> {
  printInvite(await client().members.invite(await idOf(who)), json);
}

async function remove(who: string, { json }: Flags): Promise<void> {
  const answer = await client().members.delete(await idOf(who));
  if (json) printJson(answer);
  else process.stdout.write(`deleted ${harmless(who)}\n`);
}

async function idOf(who: string): Promise<string> {
  if (!who.includes("@")) return who;
  const { members } = await client().members.list();
  return members.find(({ email }) => email === who.toLowerCase())?.id ?? who;
}

function printInvite(made: { invite: { url: string; expires_at: string } | null }, json: boolean | undefined): void {
  if (json) {
    printJson(made);
    return;
  }
  process.stdout.write(`${made.invite?.url ?? ""}\n`);
  process.stderr.write(`${err.dim(`hand it on; it works once, until ${moment(made.invite?.expires_at ?? null)}`)}\n`);
}
