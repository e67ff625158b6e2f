import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "@mags/kit";
import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";

/** The key is used at once; should this process be killed, what it leaves behind opens nothing for long, `seconds`. */
const KEY_SECONDS = 120;
/** Our name for the gateway's host key: its address may change, and other servers may have had it. */
const HOST_ALIAS = "mags";
/** What shells answer when a program is not there. */
const NO_PROGRAM = 127;

export function addSsh(program: Command): void {
  program
    .command("ssh")
    .description("log in to a live machine with the system's ssh")
    .argument("<job>", "id or name")
    .argument("[arguments...]", "options of ssh and a command; by default a shell")
    .option("--json", "make a key and print it with the address as JSON, for another program to log in with")
    .passThroughOptions()
    .addHelpText(
      "after",
      "\nExample:\n  mags ssh my-app\n  mags ssh my-app -L 8000:localhost:8000 -N\n  mags ssh my-app 'tail -f /var/log/app.log'\n\nExit codes: ssh's own. The key is made for this login, kept in a file of yours alone, and removed afterwards.",
    )
    .action(ssh);
}

async function ssh(job: string, given: string[], { json }: { json?: boolean }): Promise<void> {
  if (json) return printJson(await client().access.ssh(job));
  const words = given[0] === "--" ? given.slice(1) : given;
  const door = await client().access.ssh(job, { expiresIn: KEY_SECONDS });
  const dir = await mkdtemp(join(tmpdir(), "mags-ssh-"));
  // Ctrl-C is for what runs over there; ssh ends by itself when it is to.
  const ignore = () => undefined;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, ignore);
  try {
    await writeFile(join(dir, "key"), door.ssh_private_key, { mode: 0o600 });
    await writeFile(join(dir, "known_hosts"), `${HOST_ALIAS} ${door.ssh_host_key}\n`);
    const options = {
      IdentityFile: join(dir, "key"),
      IdentitiesOnly: "yes",
      IdentityAgent: "none",
      UserKnownHostsFile: join(dir, "known_hosts"),
      GlobalKnownHostsFile: "none",
      HostKeyAlias: HOST_ALIAS,
      StrictHostKeyChecking: "yes",
      Port: String(door.ssh_port),
    };
    const flags = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    const host = `${door.ssh_user}@${door.ssh_host}`;
    const ended = await spawn("ssh", [...flags, host, ...words], { stdio: "inherit", reject: false });
    if (ended.code === "ENOENT") process.stderr.write("error: there is no ssh here: install OpenSSH's client\n");
    process.exitCode = ended.exitCode ?? NO_PROGRAM;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
