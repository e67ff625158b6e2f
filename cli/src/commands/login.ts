import { readFileSync } from "node:fs";
import { Mags } from "@mags/sdk";
import { type Command, Option } from "commander";
import { apiUrl, client, configPath, forgetConfig, saveConfig, tokenVariable } from "../config.ts";
import { loginByBrowser } from "../login/browser.ts";
import { err } from "../render/colours.ts";
import { printJson } from "../render/output.ts";
import { harmless } from "../render/table.ts";

interface Flags {
  url: string;
  web?: boolean;
  browser: boolean;
  scope: string;
  json?: boolean;
}

export function addLogin(program: Command): void {
  program
    .command("login")
    .description("keep a token for later commands, in ~/.mags/config.json")
    .option("--url <url>", "address of the server", apiUrl)
    .option("--web", "by a page of the dashboard, also where standard input is no terminal")
    .option("--no-browser", "print the page's address and open none")
    .addOption(
      new Option("--scope <scope>", "what the token may do that the page gives")
        .choices(["read", "run", "admin"])
        .default("run"),
    )
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nIn a terminal a page of the dashboard asks you to approve; a token can be pasted, too. Elsewhere the token is read from standard input.\n\nExample:\n  mags login --url https://mags.example.com\n  mags login < token",
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

async function login(flags: Flags, command: Command): Promise<void> {
  const { json } = flags;
  const address = flags.url.replace(/\/+$/, "");
  const token = flags.web || process.stdin.isTTY ? await byBrowser(address, flags) : readFileSync(0, "utf8").trim();
  if (!/^\S+$/.test(token)) command.error("error: no token: give it on standard input, alone, or log in with --web");
  // Asked before it is kept, so that a wrong one is told now and not by the next command.
  const me = await new Mags({ apiToken: token, apiUrl: address }).tokens.whoami();
  saveConfig({ api_token: token, api_url: address });
  if (json) printJson({ ...me, api_url: address, config: configPath });
  else process.stdout.write(`logged in as ${harmless(me.token)} of ${me.organisation}; kept in ${configPath}\n`);
  if (tokenVariable) process.stderr.write(`${err.yellow(`${tokenVariable} is set, and wins over it`)}\n`);
}

const byBrowser = (address: string, { scope, browser }: Flags) =>
  loginByBrowser(address, { scope, open: browser, say: (text) => void process.stderr.write(text) });
