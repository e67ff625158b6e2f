import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { spawn } from "@mags/kit";
import type { Daemon } from "./daemon.ts";

const CLIENT =
  "-F none -o IdentitiesOnly=yes -o BatchMode=yes -o IdentityAgent=none -o StrictHostKeyChecking=yes -o ConnectTimeout=20";

export interface SshCall {
  input?: string;
  /** name of the key to show; `key` by default */
  key?: string;
  user?: string;
  options?: string[];
  env?: Record<string, string>;
}

/** OpenSSH's client at a daemon's gateway, with keys and known hosts in a directory of its own. */
export class SshClient {
  readonly #daemon: Daemon;
  readonly #dir: string;

  constructor(daemon: Daemon, dir: string) {
    this.#daemon = daemon;
    this.#dir = dir;
  }

  /** Asks for a key of a job, writes it down under `name` and pins the gateway's host key. */
  async openDoor(id: string, name = "key") {
    const { body } = await this.#daemon.http("POST", `/api/v1/mags-jobs/${id}/access`, { port: 22 });
    await writeFile(join(this.#dir, name), body.ssh_private_key, { mode: 0o600 });
    const host = `[${body.ssh_host}]:${body.ssh_port} ${body.ssh_host_key}\n`;
    await writeFile(join(this.#dir, "known_hosts"), host);
    return body as { ssh_host: string; ssh_port: number; ssh_user: string; ssh_host_key: string };
  }

  /** What every one of OpenSSH's programs is given. */
  options(key = "key"): string[] {
    const known = `UserKnownHostsFile=${join(this.#dir, "known_hosts")}`;
    return [...CLIENT.split(" "), "-i", join(this.#dir, key), "-o", known];
  }

  /** `ssh` with `args` behind the host. */
  run(args: string[], { input = "", key, user = "root", options = [], env = {} }: SshCall = {}) {
    const port = ["-p", String(this.#daemon.sshPort)];
    return spawn("ssh", [...this.options(key), ...port, ...options, `${user}@127.0.0.1`, ...args], {
      reject: false,
      input,
      stripFinalNewline: false,
      env,
      timeout: 60_000,
    });
  }
}
