import type { FileChange, FileEntry } from "@mags/protocol";
import { ENTRY_FIELDS } from "./scripts.ts";

/** Types as `find` writes them. */
const types: Record<string, FileEntry["type"]> = { f: "file", d: "directory", l: "symlink" };

/** Reads what the scripts LIST and STAT print. */
export function parseEntries(text: string): FileEntry[] {
  const fields = text.split("\0").slice(0, -1);
  const entries: FileEntry[] = [];
  for (let at = 0; at + ENTRY_FIELDS <= fields.length; at += ENTRY_FIELDS) {
    const [type = "", name = "", size, mode = "", time, uid, gid, target = ""] = fields.slice(at, at + ENTRY_FIELDS);
    const modified_at = new Date(Number(time) * 1000).toISOString();
    const known = { name, type: types[type] ?? "other", size: Number(size), mode, modified_at };
    entries.push({ ...known, uid: Number(uid), gid: Number(gid), ...(target === "" ? {} : { target }) });
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** One look at a tree: what is known of each path, as text that differs when it does. */
export type Look = Map<string, string>;

/** Adds a record of the script WATCH to a look. */
export function addRecord(look: Look, record: string): void {
  const [, type = "", rest = "", path = ""] = /^(\S+) (\S+ \S+) ([\s\S]*)$/.exec(record) ?? [];
  // The size and time of a directory change with what is in it, which is told by itself.
  look.set(path, type === "d" ? type : `${type} ${rest}`);
}

/** What has changed between two looks; parents come before what is in them. */
export function changesBetween(before: Look, after: Look): FileChange[] {
  const typeOf = (known: string) => types[known[0] as string] ?? "other";
  const changes: FileChange[] = [];
  for (const [path, known] of after) {
    const was = before.get(path);
    if (was === undefined) changes.push({ change: "created", path, type: typeOf(known) });
    else if (was !== known) changes.push({ change: "modified", path, type: typeOf(known) });
  }
  for (const [path, known] of before)
    if (!after.has(path)) changes.push({ change: "deleted", path, type: typeOf(known) });
  return changes.sort((a, b) => (a.path < b.path ? -1 : 1));
}
