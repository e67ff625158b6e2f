import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { run } from "@mags/kit";
import type { World } from "./world.ts";

const SETTINGS = [
  "/proc/sys/kernel/core_pattern",
  "/proc/sys/kernel/modprobe",
  "/proc/sys/kernel/sysrq",
  "/proc/sys/kernel/hostname",
  "/proc/sys/kernel/domainname",
  "/proc/sys/kernel/random/boot_id",
  "/proc/sys/vm/overcommit_memory",
  "/proc/sys/vm/drop_caches",
  "/sys/kernel/uevent_helper",
  "/proc/swaps",
  "/etc/passwd",
  "/etc/shadow",
  "/etc/hosts",
  "/etc/resolv.conf",
];

/** What an attempt could have changed on the host, as text to compare. */
export async function hostState(world: World): Promise<Record<string, string>> {
  const state: Record<string, string> = {
    hostname: hostname(),
    canary: await readFile(world.canary, "utf8"),
    runtime: createHash("sha256")
      .update(await readFile(await run("which", ["crun"])))
      .digest("hex"),
    rules: (await world.host.run("nft", "list", "ruleset")).stdout.replace(
      /\n\s*elements = \{[^}]*\}|packets \d+ bytes \d+/g,
      "",
    ),
    addresses: (await world.host.run("ip", "-o", "address", "show", "dev", "lan0")).stdout,
    "devices of the host": await devices(),
  };
  for (const path of SETTINGS) state[path] = await readFile(path, "utf8").catch(() => "");
  for (const tree of await readdir("/sys/fs/cgroup"))
    for (const name of ["release_agent", "notify_on_release"])
      state[`${tree} ${name}`] = await readFile(join("/sys/fs/cgroup", tree, name), "utf8").catch(() => "");
  return state;
}

/** Those that everybody uses, with their owners and modes. */
const devices = (): Promise<string> =>
  run("stat", [
    "-c",
    "%n %u %g %a %t %T",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
  ]);
