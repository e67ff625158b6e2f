import { readlinkSync } from "node:fs";
import { argv, env, execArgv, execPath } from "node:process";

const MARKER = "MAGS_MOUNT_NAMESPACE";

/**
 * Puts this process into a mount namespace of its own, by replacing it (same pid) where it is not in one yet. What the
 * agent mounts then goes with it when it is killed, and the host's mount table stays clean.
 *
 * The marker holds the namespace that was left: a process that inherited the variable and is in that namespace still has
 * to leave it.
 */
export function enterMountNamespace(): void {
  const current = readlinkSync("/proc/self/ns/mnt");
  if (env[MARKER] && env[MARKER] !== current) return;
  const command = ["unshare", "--mount", "--propagation", "slave", execPath, ...execArgv, ...argv.slice(1)];
  const execve = process.execve as (file: string, args: string[], env: NodeJS.ProcessEnv) => never;
  execve("/usr/bin/unshare", command, { ...env, [MARKER]: current });
}
