import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { type AuditEntry, canonicalJson } from "@mags/protocol";

export interface Verdict {
  entries: number;
  first: number | null;
  head: { seq: number; hash: string } | null;
  /** what is wrong; undefined where nothing is */
  problem: string | undefined;
}

/**
 * Checks an export of the audit log without a server: each entry has the hash of what it says, and follows the one before. With
 * `head`, kept from an earlier look, also that nothing was taken off the end or written anew: an entry has that hash.
 */
export async function verifyFile(path: string, head?: string): Promise<Verdict> {
  const verdict: Verdict = { entries: 0, first: null, head: null, problem: undefined };
  let headSeen = head === undefined;
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    const entry = parse(line);
    verdict.problem = entry ? faultOf(entry, verdict.head) : `line ${verdict.entries + 1} is no entry`;
    if (!entry || verdict.problem) return verdict;
    verdict.first ??= entry.seq;
    verdict.head = { seq: entry.seq, hash: entry.hash };
    verdict.entries++;
    headSeen ||= entry.hash === head;
  }
  if (!headSeen)
    verdict.problem = `no entry has the hash ${head}: entries were taken off the end, or all were written anew`;
  return verdict;
}

function parse(line: string): AuditEntry | undefined {
  try {
    const entry = JSON.parse(line);
    return typeof entry?.seq === "number" && typeof entry.hash === "string" ? entry : undefined;
  } catch {
    return undefined;
  }
}

function faultOf({ hash, ...sealed }: AuditEntry, before: Verdict["head"]): string | undefined {
  const { seq, prev } = sealed;
  const genesis = "0".repeat(64);
  if (before && seq !== before.seq + 1) return `entry ${seq} follows entry ${before.seq}: entries are missing or moved`;
  if (before ? prev !== before.hash : seq === 1 && prev !== genesis)
    return `entry ${seq} does not follow the one before`;
  const real = createHash("sha256").update(canonicalJson(sealed)).digest("hex");
  return real === hash ? undefined : `entry ${seq} was changed: its hash is another`;
}
