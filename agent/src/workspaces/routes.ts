import type { Readable } from "node:stream";
import {
  ApiError,
  DiffVersions,
  ExportVersion,
  ImportVersion,
  ResizeVolume,
  type Synced,
  VerifyVersion,
  type VersionReason,
} from "@mags/protocol";
import { ObjectError, StoreFull, VersionError } from "@mags/storage";
import type { FastifyInstance, FastifyReply } from "fastify";
import type { z } from "zod";
import { Fenced } from "../control-plane.ts";
import { NotDurable, WorkspaceLost } from "./errors.ts";
import type { Workspaces } from "./workspaces.ts";

export interface WorkspaceRoutes {
  workspaces: Workspaces;
  /** a job on this node */
  job(id: string): { sync(reason: VersionReason): Promise<Synced | undefined> } | undefined;
}

/** What the server asks about workspaces whose machine is up here, and about versions. */
export function workspaceRoutes(app: FastifyInstance, { workspaces, job }: WorkspaceRoutes): void {
  app.post<{ Params: { id: string } }>("/agent/v1/jobs/:id/sync", async ({ params }): Promise<Synced> => {
    const synced = await answered(job(params.id)?.sync("request"));
    if (!synced) throw new ApiError("not_found", "this node has no machine of the job with a workspace");
    return synced;
  });
  app.post<{ Params: { id: string } }>("/agent/v1/workspaces/:id/resize", async ({ params, body }) => {
    const workspace = workspaces.find(params.id);
    if (!workspace?.occupied) throw new ApiError("not_found", "the workspace has no machine on this node");
    await answered(workspace.resize(parsed(ResizeVolume, body).disk_gb));
    return {};
  });
  app.post("/agent/v1/versions/verify", async ({ body }, reply) => {
    const { org, version } = parsed(VerifyVersion, body);
    return answered(workspaces.operations.verify(org, version, hungUp(reply)));
  });
  app.post("/agent/v1/versions/diff", async ({ body }, reply) =>
    answered(workspaces.operations.diff(parsed(DiffVersions, body), hungUp(reply))),
  );
  app.post("/agent/v1/versions/export", async ({ body }, reply) => {
    const bytes = await answered(workspaces.operations.export(parsed(ExportVersion, body), hungUp(reply)));
    return reply.type("application/octet-stream").send(bytes);
  });
  app.addContentTypeParser("application/octet-stream", (_request, payload, done) => done(null, payload));
  app.post("/agent/v1/versions/import", { bodyLimit: Number.MAX_SAFE_INTEGER }, async ({ body, query }, reply) => {
    const wanted = parsed(ImportVersion, query);
    return { version: await answered(workspaces.operations.import(wanted, body as Readable, hungUp(reply))) };
  });
}

function parsed<T extends z.ZodType>(schema: T, body: unknown): z.infer<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new ApiError("invalid_request", issue?.message ?? "the body is not as it should be", issue?.path.join("."));
}

/** Fires when the caller leaves before the answer. */
function hungUp(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.on("close", () => gone.abort());
  return gone.signal;
}

async function answered<T>(work: Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof NotDurable || error instanceof ObjectError || error instanceof StoreFull)
      throw new ApiError("unavailable", message);
    if (error instanceof WorkspaceLost || error instanceof Fenced) throw new ApiError("conflict", message);
    if (error instanceof VersionError && error.code === "invalid") throw new ApiError("invalid_request", message);
    if (error instanceof VersionError) throw new ApiError("unavailable", message);
    throw error;
  }
}
