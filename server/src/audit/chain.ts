import { createHash } from "node:crypto";
import { type AuditEntry, canonicalJson } from "@mags/protocol";
import type { AuditRow } from "./store.ts";

/** What the first entry follows. */
export const GENESIS = "0".repeat(64);

/** Numbers and links entries, from the newest that is linked. */
export function linkEntries(rows: AuditRow[], head: { seq: number; hash: string } | undefined): AuditRow[] {
  let { seq, hash } = head ?? { seq: 0, hash: GENESIS };
  return rows.map((row) => {
    const linked = { ...row, seq: ++seq, prev: hash };
    hash = hashOf(toEntry(linked));
    return { ...linked, hash };
  });
}

export function toEntry(row: AuditRow): AuditEntry {
  return {
    organisation: row.org,
    seq: row.seq,
    at: row.at.toISOString(),
    actor: { kind: row.actor_kind, name: row.actor },
    action: row.action,
    target: row.target,
    outcome: row.outcome,
    details: row.details,
    request_id: row.request_id,
    address: row.address,
    prev: row.prev,
    hash: row.hash,
  };
}

function hashOf({ hash: _, ...sealed }: AuditEntry): string {
  return createHash("sha256").update(canonicalJson(sealed)).digest("hex");
}
