import { readFile } from "node:fs/promises";

/** Looks until none is left: between a look and its signals a process may have started another. */
const ROUNDS = 100;

interface Member {
  pid: number;
  parent: number;
  session: number;
  /** carries the mark in its environment */
  marked: boolean;
}

/**
 * Kills, among the processes that `members` answers, those that belong together: `first`, all that carry `mark`
 * (`NAME=value`) in their environment, all of their sessions and all that have one of them as an ancestor.
 */
export async function killFamily(members: () => Promise<number[]>, first: number, mark: string): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const found = await Promise.all((await members()).map((pid) => look(pid, mark)));
    const family = familyOf(
      found.filter((member) => member !== undefined),
      first,
    );
    if (family.length === 0) return;
    for (const pid of family) kill(pid);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function familyOf(members: Member[], first: number): number[] {
  const family = new Set(members.filter(({ pid, marked }) => marked || pid === first).map(({ pid }) => pid));
  // A session belongs to whoever leads it; one that is led from outside the family is the machine's own.
  for (let size = -1; size !== family.size; ) {
    size = family.size;
    for (const { pid, parent, session } of members) if (family.has(parent) || family.has(session)) family.add(pid);
  }
  return [...family];
}

async function look(pid: number, mark: string): Promise<Member | undefined> {
  const [stat, environment] = await Promise.all(
    ["stat", "environ"].map((name) => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "")),
  );
  if (!stat) return undefined;
  const [state, parent, , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (state === "Z" || state === "X") return undefined;
  const marked = (environment ?? "").split("\0").includes(mark);
  return { pid, parent: Number(parent), session: Number(session), marked };
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // gone between the look and the signal
  }
}
