import type { Workspace } from "@mags/protocol";
import { bytes, duration, when } from "../../ui/format.ts";

type Point = Workspace["recovery_point"];

/** How much would be there if the node were lost now, in a word and a colour. */
export function RecoveryPoint({ point }: { point: Point }) {
  if (point.last_error) return <span className="status bad">Not durable</span>;
  if (point.dirty) return <span className="status active">{bytes(point.pending_bytes)} pending</span>;
  return point.durable_at ? <span className="status good">Durable</span> : <span className="status quiet">Empty</span>;
}

/** The same as a sentence. */
export function recoverySentence({ durable_at, pending_bytes, dirty, last_sync_ms, last_error }: Point): string {
  const until = durable_at ? `Everything up to ${when(durable_at)} is durable` : "Nothing is durable yet";
  const pending = dirty ? `, ${bytes(pending_bytes)} pending` : "";
  const took = last_sync_ms === null ? "" : `; the last sync took ${duration(last_sync_ms)}`;
  return `${until}${pending}${took}.${last_error ? ` The last sync failed: ${last_error}` : ""}`;
}
