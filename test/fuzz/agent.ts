import fc from "fast-check";
import type { Shot, Things } from "./requests.ts";
import { hostile, strange } from "./values.ts";

/** What the agent's own API knows; only server and gateway call it, by the node's token. */
const ROUTES: [string, string][] = [
  ["GET", "/agent/v1/status"],
  ["GET", "/agent/v1/audit"],
  ["POST", "/agent/v1/audit/remove"],
  ["POST", "/agent/v1/audit/copies"],
  ["GET", "/agent/v1/jobs/:id/activity"],
  ["GET", "/agent/v1/jobs/:id/metrics"],
  ["GET", "/agent/v1/jobs/:id/logs"],
  ["POST", "/agent/v1/jobs/:id/sync"],
  ["POST", "/agent/v1/workspaces/:id/resize"],
  ["POST", "/agent/v1/versions/verify"],
  ["POST", "/agent/v1/versions/diff"],
  ["POST", "/agent/v1/versions/export"],
  ["POST", "/agent/v1/versions/import"],
];

const version = {
  id: "00000000-0000-4000-8000-000000000000",
  number: 1,
  manifest: `${"a".repeat(64)}.1`,
  volume_bytes: 1 << 20,
};

export function agentShots(things: Things): fc.Arbitrary<Shot> {
  const ids = things["/mags-jobs/"] ?? [];
  const nearly = fc.record(
    {
      org: fc.oneof(fc.constant("default"), hostile),
      name: fc.oneof(fc.constant("ws"), hostile),
      version: fc.oneof(fc.constant(version), hostile),
      before: fc.oneof(fc.constant(version), hostile),
      after: fc.oneof(fc.constant(version), hostile),
      disk_gb: fc.oneof(fc.constant(1), hostile),
      format: fc.oneof(fc.constantFrom("tar", "ext4", "oci"), hostile),
      kind: fc.oneof(fc.constantFrom("disk", "cgroup", "loop"), hostile),
    },
    { requiredKeys: [] },
  );
  return fc
    .tuple(
      fc.constantFrom(...ROUTES),
      fc.oneof(
        fc.constantFrom(...ids),
        fc.uuid(),
        strange.map((text) => text.slice(0, 500)),
      ),
      fc.oneof(nearly, hostile),
      fc.constantFrom("application/json", "application/json", "text/plain", "application/octet-stream", ""),
      fc.constantFrom<Shot["way"]>("whole", "chunked", "cut", "short"),
    )
    .map(([[method, path], id, body, type, way]) => ({
      operation: `${method} ${path}`,
      method,
      target: path.replace(":id", encodeURIComponent(id.toWellFormed()) || "%20"),
      headers: { "content-type": type },
      body: method === "GET" ? undefined : Buffer.from(JSON.stringify(body) ?? ""),
      way,
    }));
}
