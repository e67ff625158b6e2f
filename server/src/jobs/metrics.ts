import { ApiError, JobMetrics } from "@mags/protocol";
import type { Nodes } from "../nodes/service.ts";
import type { JobRow } from "./store.ts";

const DEADLINE_MS = 5000;

/** What the job's machine has used lately; without samples where no machine is up. Throws ApiError unavailable. */
export async function readMetrics(
  nodes: Nodes,
  { id, node, status, vcpus, memory_mb }: JobRow,
  signal: AbortSignal,
): Promise<JobMetrics> {
  const nothing = { interval_seconds: 0, vcpus, memory_mb, open_connections: 0, samples: [] };
  if (node === null || status !== "running") return nothing;
  try {
    const response = await nodes.agentFetch(node, `/agent/v1/jobs/${id}/metrics`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]),
    });
    if (response.ok) return JobMetrics.parse(await response.json());
    await response.body?.cancel();
    if (response.status === 404) return nothing;
    throw new ApiError("unavailable", `node ${node} answers with status ${response.status}`);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("unavailable", `node ${node} cannot be reached: ${(error as Error).message}`);
  }
}
