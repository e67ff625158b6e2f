import { readFileSync } from "node:fs";
import { Mags } from "@mags/sdk";
import type { Command } from "commander";
import { apiUrl, client, configPath, forgetConfig, saveConfig, tokenVariable } from "../config.ts";
import { err } from "../render/colours.ts";
import { printJson } from "../render/output.ts";
import { harmless } from "../render/table.ts";

export function addLogin(program: Command): void {
  program
    .command("login")
    .description("keep a token for later commands, in ~/.mags/config.json")
    .option("--url <url>", "address of the server", apiUrl)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nThe token is read from standard input.\n\nExample:\n  mags login --url https://mags.example.com < token",
    )
    .action(login);
}

export function addLogout(program: Command): void {
  program
    .command("logout")
    .description("forget the token that login kept")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags logout")
    .action(({ json }) => {
      forgetConfig();
      if (json) printJson({ logged_out: true });
      else process.stdout.write("logged out\n");
    });
}

export function addWhoami(program: Command): void {
  program
    .command("whoami")
    .description("show whom the server takes you for")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags whoami")
    .action(async ({ json }) => {
      const me = await client().tokens.whoami();
      if (json) return printJson(me);
      process.stdout.write(`${harmless(me.token)} of ${me.organisation} (${me.scopes.join(", ")}) at ${apiUrl}\n`);
    });
}

async function login({ url, json }: { url: string; json?: boolean }, command: Command): Promise<void> {
  if (process.stdin.isTTY) process.stderr.write(`${err.dim("paste the token, then Enter and Ctrl-D")}\n`);
  const token = readFileSync(0, "utf8").trim();
  if (!/^\S+$/.test(token)) command.error("error: no token: give it on standard input, alone");
  const address = url.replace(/\/+$/, "");
  // Asked before it is kept, so that a wrong one is told now and not by the next command.
  const me = await new Mags({ apiToken: token, apiUrl: address }).tokens.whoami();
  saveConfig({ api_token: token, api_url: address });
  if (json) printJson({ ...me, api_url: address, config: configPath });
  else process.stdout.write(`logged in as ${harmless(me.token)} of ${me.organisation}; kept in ${configPath}\n`);
  if (tokenVariable) process.stderr.write(`${err.yellow(`${tokenVariable} is set, and wins over it`)}\n`);
}
