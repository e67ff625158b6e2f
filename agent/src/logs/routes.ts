import { once } from "node:events";
import { ApiError, LogsQuery } from "@mags/protocol";
import { readLogs } from "@mags/storage";
import type { FastifyInstance, FastifyReply } from "fastify";
import type { LogCapture } from "./capture.ts";
import { type Followed, followLogs } from "./follow.ts";

/** Where the log of a job is, and who writes it now. */
export interface LogLocation {
  dir: string;
  live?: LogCapture | undefined;
}

const JOB_ID = /^[\w-]+$/;
const HEARTBEAT_MS = 15_000;

/** `GET /agent/v1/jobs/:id/logs`: a page as JSON, or with `follow=1` a stream of events. */
export function logRoutes(app: FastifyInstance, options: { find(id: string): LogLocation }): void {
  app.get<{ Params: { id: string } }>("/agent/v1/jobs/:id/logs", async (request, reply) => {
    const parsed = LogsQuery.safeParse(request.query);
    if (!parsed.success) throw new ApiError("invalid_request", parsed.error.issues[0]?.message ?? "bad query");
    const { follow, after, limit } = parsed.data;
    // It becomes a part of a path.
    if (!JOB_ID.test(request.params.id)) throw new ApiError("not_found", "this is no id of a job");
    const { dir, live } = options.find(request.params.id);
    const last = request.headers["last-event-id"];
    const place = { dir, after: typeof last === "string" && last !== "" ? last : after };
    try {
      if (follow !== "1" && follow !== "true") return await readLogs({ ...place, limit });
      const gone = new AbortController();
      reply.raw.on("close", () => gone.abort());
      await stream(reply, followLogs({ ...place, live, signal: gone.signal }), gone.signal);
      return reply;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      throw new ApiError("not_found", "this node has no log of the job");
    }
  });
}

async function stream(reply: FastifyReply, entries: AsyncGenerator<Followed>, signal: AbortSignal): Promise<void> {
  // The first look decides between an error answer and a stream.
  let next = entries.next();
  const early = await Promise.race([
    next.then(
      () => undefined,
      (error: unknown) => error,
    ),
    pause(),
  ]);
  if (early) throw early;
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" });
  raw.write("retry: 500\n\n");
  const heartbeat = setInterval(() => raw.write(": alive\n\n"), HEARTBEAT_MS);
  try {
    for (let item = await next; !item.done; item = await next) {
      const ready = raw.write(frame(item.value));
      if (!ready) await once(raw, "drain", { signal }).catch(() => undefined);
      next = entries.next();
    }
  } finally {
    clearInterval(heartbeat);
    raw.end();
  }
}

const pause = () => new Promise<undefined>((resolve) => setTimeout(resolve, 20, undefined));

function frame(item: Followed): string {
  if ("end" in item) return `event: end\ndata: ${JSON.stringify(item.end)}\n\n`;
  return `event: entry\nid: ${item.cursor}\ndata: ${JSON.stringify(item.entry)}\n\n`;
}
