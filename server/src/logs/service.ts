import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Logger } from "@mags/kit";
import { ApiError, Logs } from "@mags/protocol";
import { LogReader, readEnd, readLogs } from "@mags/storage";
import type { z } from "zod";
import type { Jobs } from "../jobs/service.ts";
import type { Nodes } from "../nodes/service.ts";
import type { KeptLogs } from "./kept.ts";
import { sseBlocks } from "./sse.ts";

const HEARTBEAT_MS = 10_000;
/** An agent may be restarting: its log is asked for again this long, then the client is left to come back, `ms`. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 250;
/** How often the copy of a log is looked at for what no event tells, `ms` */
const COPY_MS = 10_000;
/** Entries of a copy that are read at a time */
const BATCH = 1000;
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
  keptLogs: KeptLogs;
  logger: Logger;
}

/** Reads a page of a log from where it is. Throws ApiError not_found, or unavailable when that place cannot be reached. */
export async function readLog(
  { jobs, nodes, keptLogs }: Needs,
  { org, idOrName }: { org: string; idOrName: string },
  page: { after?: string | undefined; limit?: number | undefined },
  signal: AbortSignal,
): Promise<z.infer<typeof Logs>> {
  const { id, node, held, begun, end = null } = await jobs.logSource(org, idOrName);
  const found = node && (await fromNode(nodes, { id, node }, page, signal).catch((error: ApiError) => error));
  if (found && !(found instanceof ApiError)) return found;
  if (begun && !held) {
    const kept = await keptLogs.with({ org, id }, (dir) => readLogs({ ...page, dir, whole: end !== null }));
    if (kept) return { ...kept, end: kept.next === null ? (kept.end ?? end) : null };
  }
  if (found) throw found;
  return { logs: [], end, next: null };
}

/** A page of what the node has, undefined where it has nothing. Throws ApiError unavailable. */
async function fromNode(
  nodes: Nodes,
  { id, node }: { id: string; node: string },
  { after, limit }: { after?: string | undefined; limit?: number | undefined },
  signal: AbortSignal,
): Promise<z.infer<typeof Logs> | undefined> {
  const query = new URLSearchParams();
  if (after) query.set("after", after);
  if (limit) query.set("limit", String(limit));
  try {
    const response = await nodes.agentFetch(node, `/agent/v1/jobs/${id}/logs?${query}`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(READ_DEADLINE_MS)]),
    });
    if (response.ok) return Logs.parse(await response.json());
    await response.body?.cancel();
    if (response.status === 404) return undefined;
    throw new Error(`answers with status ${response.status}`);
  } catch (error) {
    const message = `node ${node}, which has the log, cannot be reached: ${(error as Error).message}`;
    throw new ApiError("unavailable", message);
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
      const { ms } = await step(needs, job, stream, signal).catch((error: Error) => {
        needs.logger.debug({ job: job.id, err: error.message }, "the log's node is away; asking again");
        return { ms: RETRY_MS };
      });
      if (!stream.ended) await changes.next(ms, signal);
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

/** Forwards what is to be had now; returns when to look again. Throws when the place of the log cannot be reached. */
async function step(
  { jobs, nodes, keptLogs }: Needs,
  { org, id }: JobKey,
  stream: Stream,
  signal: AbortSignal,
): Promise<{ ms: number }> {
  const { node, held, begun, end } = await jobs.logSource(org, id);
  const found = node ? await follow({ jobs, nodes }, { org, id }, node, stream, signal).catch(asError) : false;
  if (found === true) return { ms: RETRY_MS };
  const forwarded = (dir: string) => forwardAll(dir, end !== undefined, stream, signal);
  const copied = begun && !held ? await keptLogs.with({ org, id }, forwarded) : undefined;
  if (found && !copied) throw found;
  stream.aliveAt = performance.now();
  if (end) finish(stream, copied?.end ?? end);
  return { ms: copied ? COPY_MS : RETRY_MS };
}

/** Forwards as much as comes in one connection to the agent; false where it has nothing. Throws when it cannot be reached. */
async function follow(
  { jobs, nodes }: Pick<Needs, "jobs" | "nodes">,
  { org, id }: JobKey,
  node: string,
  stream: Stream,
  signal: AbortSignal,
): Promise<boolean> {
  const query = new URLSearchParams({ follow: "1", ...(stream.cursor ? { after: stream.cursor } : {}) });
  const response = await nodes.agentFetch(node, `/agent/v1/jobs/${id}/logs?${query}`, { signal });
  if (!response.ok || !response.body) {
    await response.body?.cancel();
    if (response.status === 404) return false;
    throw new Error(`the agent answers with status ${response.status}`);
  }
  for await (const block of sseBlocks(response.body)) {
    stream.aliveAt = performance.now();
    if (block.event === "end") await untilRecorded(jobs, { org, id }, signal);
    if (block.data) await forward(stream, block.text, signal);
    if (block.id !== undefined) stream.cursor = block.id;
    if (block.event === "end") stream.ended = true;
  }
  return true;
}

/** Forwards a log that nobody writes any more, and gives its last record; with `whole` nothing more will come. */
async function forwardAll(dir: string, whole: boolean, stream: Stream, signal: AbortSignal) {
  const reader = await LogReader.open(dir, stream.cursor);
  try {
    for (;;) {
      const batch = await reader.next(BATCH, whole);
      for (const { entry, cursor } of batch) {
        await forward(stream, `event: entry\nid: ${cursor}\ndata: ${JSON.stringify(entry)}`, signal);
        stream.cursor = cursor;
      }
      if (batch.length === 0) return { end: await readEnd(dir) };
    }
  } finally {
    await reader.close();
  }
}

const asError = (error: unknown): Error => error as Error;

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
