import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startProcess } from "@mags/kit";
import { GuestError, SSH_PORT } from "./connection.ts";

/**
 * The connection that scripts run over: OpenSSH's client as a master, one a machine. It is a process of its own in the
 * machine's cgroup and network namespace, so what runs over it outlives the agent.
 */
export interface Master {
  /** directory with its key, known host and control socket */
  dir: string;
  address: string;
}

/** The machine's server is known by its key alone, and nothing of the host's own settings or users has a say. */
const options = (master: Master): string[] =>
  Object.entries({
    ControlPath: controlPath(master),
    IdentityFile: join(master.dir, "key"),
    UserKnownHostsFile: join(master.dir, "known_host"),
    GlobalKnownHostsFile: "/dev/null",
    HostKeyAlias: "machine",
    IdentitiesOnly: "yes",
    BatchMode: "yes",
    StrictHostKeyChecking: "yes",
    LogLevel: "ERROR",
    ServerAliveInterval: 10,
    ServerAliveCountMax: 9,
    Port: SSH_PORT,
    User: "root",
    HostName: master.address,
  }).flatMap(([name, value]) => ["-o", `${name}=${value}`]);

export function writeMasterFiles({ dir }: Master, privateKey: string, hostKey: string): void {
  writeFileSync(join(dir, "key"), privateKey, { mode: 0o600 });
  writeFileSync(join(dir, "known_host"), `machine ssh-ed25519 ${hostKey}\n`, { mode: 0o600 });
}

/** Enters `groups` and goes on as ssh, without any privilege of root's. */
const ENTER = `for file in $1; do echo $$ >"$file"; done; shift; exec "$@"`;

function inMachine(netns: string, groups: string[], ssh: string[]): string[] {
  const user = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];
  return ["/bin/sh", "-c", ENTER, "sh", groups.join(" "), "nsenter", `--net=${netns}`, ...user, ...ssh];
}

const MASTER_MS = 30_000;

/** Resolves when clients can use it. Throws when it does not come about. */
export async function startMaster(master: Master, netns: string, groups: string[]): Promise<void> {
  const ssh = ["ssh", "-F", "none", "-M", "-N", "-n", ...options(master), "machine"];
  const [shell, ...args] = inMachine(netns, groups, ssh) as [string, ...string[]];
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/nonexistent" };
  let ended = false;
  const end = () => {
    ended = true;
  };
  startProcess(shell, args, { detached: true, env }).ended.then(end, end);
  const deadline = performance.now() + MASTER_MS;
  while (!existsSync(controlPath(master))) {
    if (ended || performance.now() > deadline) throw new GuestError("ssh has not reached the machine");
    await delay(5);
  }
}

const controlPath = ({ dir }: Master) => join(dir, "ctl");

/** The command line of a client that runs `command` over the master's connection; never over one of its own. */
export function clientArgv(master: Master, command: string): string[] {
  return [
    "ssh",
    "-F",
    "none",
    "-T",
    "-S",
    controlPath(master),
    "-o",
    "ProxyCommand=false",
    "-o",
    "LogLevel=QUIET",
    "machine",
    command,
  ];
}

/** The command line of a client that runs `command` over a connection of its own, because the master's has a command. */
export function aloneArgv(master: Master, netns: string, groups: string[], command: string): string[] {
  return inMachine(netns, groups, [
    "ssh",
    "-F",
    "none",
    "-T",
    "-o",
    "ControlPath=none",
    "-o",
    "LogLevel=QUIET",
    ...options(master),
    "machine",
    command,
  ]);
}
