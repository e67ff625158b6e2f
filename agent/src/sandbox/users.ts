import { closeSync, constants, fstatSync, readSync } from "node:fs";
import { openWithin, SyscallError } from "@mags/kit";
import { SessionRefused, type SessionRequest } from "./driver.ts";

/** Who a session runs as, in the sandbox's own numbers. */
export interface User {
  name: string;
  uid: number;
  gid: number;
  /** further groups it is in */
  groups: number[];
  home: string;
  shell: string;
}

export const ROOT: User = { name: "root", uid: 0, gid: 0, groups: [], home: "/root", shell: "/bin/sh" };

/** Size of a user database beyond which it is no honest one, `bytes`. */
const MAX_BYTES = 1024 * 1024;

/** Text of a user database of a sandbox; empty where it cannot be had. */
type ReadDatabase = (path: "/etc/passwd" | "/etc/group") => string;

/**
 * Finds `user` (`name`, `uid` or `uid:gid`) in the databases that `read` answers; numbers need not be in them.
 * Throws SessionRefused when there is none of that name.
 */
export function findUser(read: ReadDatabase, user: string): User {
  const [, wanted = "", gid] = /^(\d+)(?::(\d+))?$/.exec(user) ?? [];
  const rows = table(read("/etc/passwd"));
  const row = rows.find(([name, , uid]) => (wanted === "" ? name === user : uid === wanted));
  if (!row && wanted === "") {
    // An image, or a tenant, may have thrown its database away; root is there all the same.
    if (user === "root") return ROOT;
    throw new SessionRefused(`there is no user ${JSON.stringify(user.slice(0, 64))} in the sandbox`);
  }
  const [name = wanted || user, , uid = wanted, ownGroup = "0", , home = "/", shell = ""] = row ?? [];
  const groups = gid === undefined ? table(read("/etc/group")).filter(([, , , members]) => isIn(name, members)) : [];
  return {
    name,
    uid: toId(uid, user),
    gid: toId(gid ?? ownGroup, user),
    groups: groups.map(([, , id = ""]) => toId(id, user)),
    home: home.startsWith("/") ? home : "/",
    shell: shell || "/bin/sh",
  };
}

/** What a command of `user` finds in its environment, over which goes what was asked for. */
export const environmentOf = ({ home, name, shell }: User, { tty, env }: Pick<SessionRequest, "tty" | "env">) => ({
  HOME: home,
  USER: name,
  LOGNAME: name,
  SHELL: shell,
  ...(tty ? { TERM: tty.term } : {}),
  ...env,
});

/** Where a command of `user` begins in the tree at `root` that names no directory. */
export const homeIn = (root: string, { home }: User): string => (hasDirectory(root, home) ? home : "/");

function hasDirectory(root: string, path: string): boolean {
  try {
    closeSync(openWithin(root, path, constants.O_RDONLY | constants.O_DIRECTORY));
    return true;
  } catch (error) {
    if (error instanceof SyscallError) return false;
    throw error;
  }
}

const isIn = (name: string, members = ""): boolean => members.split(",").includes(name);

function toId(text: string, user: string): number {
  const id = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (id < 65_536) return id;
  throw new SessionRefused(`user ${JSON.stringify(user.slice(0, 64))} has an id outside of 0 to 65535`);
}

/** Rows of a database, by their fields. */
const table = (text: string): string[][] => text.split("\n").map((line) => line.split(":"));

/** The user databases of the tree at `root`. */
export const databasesIn =
  (root: string): ReadDatabase =>
  (path) => {
    let fd: number;
    try {
      fd = openWithin(root, path, constants.O_RDONLY);
    } catch {
      return "";
    }
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile() || stat.size > MAX_BYTES) return "";
      const bytes = Buffer.alloc(stat.size);
      return bytes.toString("utf8", 0, readSync(fd, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(fd);
    }
  };
