import type { Workspace, WorkspaceVersion } from "@mags/protocol";
import type { VersionRow } from "./versions-store.ts";
import type { WorkspaceSummary } from "./workspaces-store.ts";

const iso = (date: Date | null) => date?.toISOString() ?? null;

export function toWorkspace(row: WorkspaceSummary): Workspace {
  return {
    workspace_id: row.name,
    disk_gb: row.disk_gb,
    size_bytes: row.content_bytes ?? 0,
    stored_bytes: row.stored_bytes,
    versions: row.versions,
    latest_version: row.latest_number,
    job_count: row.job_count,
    in_use_by: row.users,
    node: row.node,
    image: row.image,
    recovery_point: {
      durable_at: iso(row.durable_at),
      pending_bytes: row.pending_bytes,
      dirty: row.dirty,
      last_sync_ms: row.last_sync_ms,
      last_error: row.last_error,
    },
    last_sync_at: iso(row.synced_at),
    created_at: row.created_at.toISOString(),
    used_at: row.used_at.toISOString(),
  };
}

export function toVersion(row: VersionRow, latest: string | null): WorkspaceVersion {
  return {
    version: row.number,
    latest: row.id === latest,
    reason: row.reason,
    request_id: row.job,
    created_at: row.created_at.toISOString(),
    size_bytes: row.content_bytes,
    new_bytes: row.new_bytes,
    disk_bytes: row.volume_bytes,
  };
}
