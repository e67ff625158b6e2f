import { readFileSync } from "node:fs";

/** What /proc/<pid>/stat says of a process; all empty when there is none, and zombies count as gone. */
export function statFields(pid: number): { session: string; startTime: string } {
  const stat = statOf(pid);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields[0] === "Z" || fields[0] === "X") return { session: "", startTime: "" };
  return { session: fields[3] ?? "", startTime: fields[19] ?? "" };
}

function statOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return "";
  }
}
