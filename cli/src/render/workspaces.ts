import { harmless, moment, table } from "./table.ts";

interface RecoveryPoint {
  durable_at: string | null;
  pending_bytes: number;
  dirty: boolean;
  last_sync_ms: number | null;
  last_error: string | null;
}

interface Workspace {
  workspace_id: string;
  disk_gb: number;
  size_bytes: number;
  versions: number;
  in_use_by: readonly object[];
  recovery_point: RecoveryPoint;
}

interface Version {
  version: number;
  latest: boolean;
  reason: string;
  created_at: string;
  size_bytes: number;
  new_bytes: number;
}

interface Diff {
  before: string | null;
  after: string;
  added: number;
  removed: number;
  modified: number;
  truncated: boolean;
  entries: readonly {
    path: string;
    change: "added" | "removed" | "modified";
    kind: string;
    changed: readonly string[];
    bytes_before: number | null;
    bytes_after: number | null;
  }[];
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** `1.2 MiB` */
export function bytes(count: number): string {
  const power = count < 1024 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(count) / 10));
  return `${power === 0 ? count : (count / 1024 ** power).toFixed(1)} ${UNITS[power]}`;
}

/** How much would be there if the node were lost now, as a sentence. */
export function recovery({ durable_at, pending_bytes, dirty, last_sync_ms, last_error }: RecoveryPoint): string {
  const parts = [durable_at === null ? "nothing yet" : `everything up to ${durable_at}`];
  if (dirty) parts.push(pending_bytes > 0 ? `${bytes(pending_bytes)} pending` : "changes may be pending");
  if (last_sync_ms !== null) parts.push(`last sync took ${Math.round(last_sync_ms)} ms`);
  if (last_error !== null) parts.push(`last error: ${last_error}`);
  return parts.join(", ");
}

export const workspaceTable = (workspaces: readonly Workspace[]): string =>
  table(
    ["NAME", "SIZE", "DISK", "VERSIONS", "JOBS", "DURABLE UP TO", "PENDING"],
    workspaces.map((workspace) => [
      workspace.workspace_id,
      bytes(workspace.size_bytes),
      `${workspace.disk_gb} GiB`,
      String(workspace.versions),
      String(workspace.in_use_by.length),
      moment(workspace.recovery_point.durable_at),
      workspace.recovery_point.dirty ? bytes(workspace.recovery_point.pending_bytes) : "",
    ]),
  );

export const versionTable = (versions: readonly Version[]): string =>
  table(
    ["VERSION", "MADE", "REASON", "SIZE", "NEW"],
    versions.map((version) => [
      `${version.version}${version.latest ? " (latest)" : ""}`,
      moment(version.created_at),
      version.reason,
      bytes(version.size_bytes),
      bytes(version.new_bytes),
    ]),
  );

const MARKS = { added: "+", removed: "-", modified: "~" };

/** `~ /etc/hosts  1 KiB -> 2 KiB`, one line a path, and a sum. */
export function diffLines({ before, after, entries, added, removed, modified, truncated }: Diff): string {
  const lines = entries.map(({ path, change, kind, changed, bytes_before, bytes_after }) => {
    const sizes = [bytes_before, bytes_after].flatMap((size) => (size === null ? [] : [bytes(size)]));
    const what = changed.filter((each) => each !== "content").join(", ");
    const notes = [[...new Set(sizes)].join(" -> "), what].filter(Boolean).join(", ");
    return `${MARKS[change]} ${harmless(path)}${kind === "directory" ? "/" : ""}${notes ? `  ${notes}` : ""}\n`;
  });
  const sum = `${before ?? "the image"} -> ${after}: ${added} added, ${removed} removed, ${modified} modified\n`;
  return `${lines.join("")}${truncated ? "… and more\n" : ""}${sum}`;
}
