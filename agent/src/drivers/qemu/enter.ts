import { randomBytes } from "node:crypto";
import type { User } from "../../sandbox/users.ts";
import type { Guest } from "./guest.ts";
import { quoted, words } from "./shell.ts";

/** Where a machine has the control groups of its commands, one each. */
export const BOX = "/sys/fs/cgroup/box";

/** A new name for a command; `kind` is how such names begin. */
export const newId = (kind: string): string => `${kind}${randomBytes(6).toString("hex")}`;

/** A command for a machine's box; see images/vm/guest/enter. */
export interface Entrance {
  /** names the command in the machine */
  id: string;
  user?: User;
  cwd: string;
  terminal?: boolean;
  /** what it leaves in the background goes on printing after its end */
  lingers?: boolean;
  /** likewise, and all of it goes on when nobody takes what it prints any more */
  outlives?: boolean;
  env: Readonly<Record<string, string>>;
  argv: readonly string[];
}

/** Names of variables that mean something to the machine's shell itself, or that it cannot have. */
const ODD = /^(EPOCH\w*|FUNCNAME|LINENO|OPTIND|RANDOM|__name|__odd|__program)$|^[^A-Za-z_]|\W/;

export function enterCommand({ id, user, cwd, env, argv, ...how }: Entrance): string {
  const all = Object.entries(env).map(([name, value]) => ({ odd: ODD.test(name), word: `${name}=${value}` }));
  const variables = (odd: boolean) => all.filter((each) => each.odd === odd).map(({ word }) => word);
  const who = [user?.uid ?? 0, user?.gid ?? 0, user?.groups.join(",") ?? ""].map(String);
  const mode = how.terminal ? "terminal" : how.outlives ? "outlives" : how.lingers ? "lingers" : "plain";
  const program = [env.PATH ?? "/usr/bin:/bin", argv[0] ?? "", words(variables(true)), ...variables(false), ...argv];
  return `set -- ${words([id, ...who, cwd, mode, ...program])}; . /sbin/enter`;
}

/**
 * Text for a shell of the machine that puts files of user `owner` at /run/mags in the box and then runs the command. Where
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
