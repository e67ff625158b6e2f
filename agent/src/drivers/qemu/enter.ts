import type { User } from "../../sandbox/users.ts";
import type { Guest } from "./guest.ts";
import { quoted, words } from "./shell.ts";

/** A command for a machine's box; see images/vm/guest/enter. */
export interface Entrance {
  /** names the command in the machine */
  id: string;
  user?: User;
  cwd: string;
  terminal?: boolean;
  /** what it leaves in the background goes on printing after its end */
  lingers?: boolean;
  env: Readonly<Record<string, string>>;
  argv: readonly string[];
}

export function enterCommand({ id, user, cwd, terminal = false, lingers = false, env, argv }: Entrance): string {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const who = [user?.uid ?? 0, user?.gid ?? 0, user?.groups.join(",") ?? ""].map(String);
  const rest = [env.PATH ?? "/usr/bin:/bin", argv[0] ?? "", ...variables, ...argv];
  return `exec enter ${words([id, ...who, cwd, terminal ? "terminal" : lingers ? "lingers" : "plain", ...rest])}`;
}

/**
 * Text for a shell of the machine that puts files of user `owner` at /run/mags in the box and then becomes the command. Where
 * nothing is in the way it starts no program: each is some milliseconds where the processor is emulated.
 */
export function scriptText(files: ReadonlyMap<string, string>, owner: number, command: string): string {
  const placed = [...files].map(([name, content]) => {
    const path = quoted(`/job/${name}`);
    const own = owner === 0 ? "" : `; chown ${owner} ${path}`;
    return `[ ! -e ${path} ] && [ ! -L ${path} ] || rm -rf ${path}; printf %s ${quoted(content)} >${path}${own}`;
  });
  return `${["umask 377", ...placed, "umask 22", command].join("\n")}\n`;
}

/** Why the command `id` was not started; undefined when it was. */
export async function whyNot(guest: Guest, id: string): Promise<string | undefined> {
  return (await guest.run(`cat /run/exec/${id}.failed 2>/dev/null; true`)).trim() || undefined;
}
