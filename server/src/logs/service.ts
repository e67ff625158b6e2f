import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Logger } from "@mags/kit";
import { ApiError, Logs } from "@mags/protocol";
import type { z } from "zod";
import type { Jobs } from "../jobs/service.ts";
import type { Nodes } from "../nodes/service.ts";
import { sseBlocks } from "./sse.ts";

const HEARTBEAT_MS = 10_000;
/** An agent may be restarting: its log is asked for again this long, then the client is left to come back, `ms`. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 250;
const READ_DEADLINE_MS = 10_000;
/** Longest wait for the row of a job whose log has ended, `ms` */
const RECORD_DEADLINE_MS = 5_000;

interface JobKey {
  org: string;
  id: string;
}

interface Needs {
  jobs: Jobs;
  nodes: Nodes;
  logger: Logger;
}

/** Reads a page of a log from the node that has it. Throws ApiError not_found, or unavailable when the node cannot be reached. */
export async function readLog(
  { jobs, nodes }: Needs,
  { org, idOrName }: { org: string; idOrName: string },
  page: { after?: string | undefined; limit?: number | undefined },
  signal: AbortSignal,
): Promise<z.infer<typeof Logs>> {
  const { id, node, end } = await jobs.logSource(org, idOrName);
  const empty = { logs: [], end: end ?? null, next: null };
  if (!node) return empty;
  const query = new URLSearchParams();
  if (page.after) query.set("after", page.after);
  if (page.limit) query.set("limit", String(page.limit));
  try {
    const response = await nodes.agentFetch(node, `/agent/v1/jobs/${id}/logs?${query}`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(READ_DEADLINE_MS)]),
    });
    if (response.ok) return Logs.parse(await response.json());
    await response.body?.cancel();
    if (response.status === 404) return empty;
    throw new ApiError("unavailable", `node ${node}, which has the log, answers with status ${response.status}`);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(
      "unavailable",
      `node ${node}, which has the log, cannot be reached: ${(error as Error).message}`,
    );
  }
}

/**
 * Writes a log as Server-Sent Events until its end, the client's hang-up, or 30 s without its node. Each event carries
 * its cursor as id, so whoever is cut off continues after the last one it got.
 */
export async function followLog(
  needs: Needs,
  job: JobKey,
  after: string | undefined,
  out: ServerResponse,
  options: { signal: AbortSignal; requestId: string },
): Promise<void> {
  const { signal } = options;
  out.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-request-id": options.requestId,
  });
  out.write("retry: 500\n\n");
  const heartbeat = setInterval(() => out.write(": still here\n\n"), HEARTBEAT_MS);
  const stream = { out, cursor: after, ended: false, aliveAt: performance.now() };
  using changes = needs.jobs.changes(job.id);
  try {
    while (!stream.ended && !signal.aborted && performance.now() - stream.aliveAt < PATIENCE_MS) {
      const failure = await step(needs, job, stream, signal).catch((error: Error) => error.message);
      if (!failure || stream.ended || signal.aborted) continue;
      needs.logger.debug({ job: job.id, failure }, "the log's node is away; asking again");
      await changes.next(RETRY_MS, signal);
    }
  } finally {
    clearInterval(heartbeat);
    out.end();
  }
}

interface Stream {
  out: ServerResponse;
  cursor: string | undefined;
  ended: boolean;
  /** when the log's node was last heard, or not needed; `performance.now()` */
  aliveAt: number;
}

/** Forwards as much as comes in one connection to the agent; returns why it must be tried again. */
async function step(
  { jobs, nodes }: Needs,
  { org, id }: JobKey,
  stream: Stream,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { node, end } = await jobs.logSource(org, id);
  if (!node) {
    stream.aliveAt = performance.now();
    if (end) finish(stream, end);
    return "no node has the job yet";
  }
  const query = new URLSearchParams({ follow: "1", ...(stream.cursor ? { after: stream.cursor } : {}) });
  const response = await nodes.agentFetch(node, `/agent/v1/jobs/${id}/logs?${query}`, { signal });
  if (response.status === 404) {
    await response.body?.cancel();
    if (end) finish(stream, end);
    else stream.aliveAt = performance.now();
    return "the node has no log of the job yet";
  }
  if (!response.ok || !response.body) {
    await response.body?.cancel();
    return `the agent answers with status ${response.status}`;
  }
  for await (const block of sseBlocks(response.body)) {
    stream.aliveAt = performance.now();
    if (block.event === "end") await untilRecorded(jobs, { org, id }, signal);
    if (block.data) await forward(stream, block.text, signal);
    if (block.id !== undefined) stream.cursor = block.id;
    if (block.event === "end") stream.ended = true;
  }
  return "the agent closed the stream before its end";
}

/** The log ends a moment before the row says so; whoever has seen the end must find it in the status, too. */
async function untilRecorded(jobs: Jobs, { org, id }: JobKey, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + RECORD_DEADLINE_MS;
  using changes = jobs.changes(id);
  while (!(await jobs.logSource(org, id)).end && !signal.aborted && performance.now() < deadline) {
    await changes.next(RETRY_MS, signal);
  }
}

async function forward({ out }: Stream, text: string, signal: AbortSignal): Promise<void> {
  // A reader slower than the job must slow the agent's stream, not fill our memory.
  if (!out.write(`${text}\n\n`)) await once(out, "drain", { signal });
}

function finish(stream: Stream, end: object): void {
  const id = stream.cursor ? `id: ${stream.cursor}\n` : "";
  stream.out.write(`${id}event: end\ndata: ${JSON.stringify(end)}\n\n`);
  stream.ended = true;
}
