import { Readable } from "node:stream";
import {
  ApiError,
  allows,
  DirectoryListing,
  ErrorBody,
  type ExportFormat,
  FileDone,
  FileWrite,
  ImportQuery,
  StoredFilePath,
} from "@mags/protocol";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { callerOf, orgOf } from "../../http/auth.ts";
import { type App, type Context, hangUp } from "../../http/context.ts";
import type { Visit } from "../visits.ts";
import { SandboxFiles } from "./service.ts";

const tags = ["workspaces"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };
const params = z.object({ id: z.string().describe("Name of the workspace") });
const isSet = (flag: string | undefined) => flag === "1" || flag === "true";
/** Streamed, so that no size is too large. */
const ANY_SIZE = Number.MAX_SAFE_INTEGER;

/** The files of workspaces, whether or not a machine is up. */
export function workspaceFileRoutes(context: Context) {
  return async (app: App): Promise<void> => {
    // Bodies are contents: they are passed on as they come, whatever they are said to be.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", (_request, _payload, done) => done(null));
    // Also reading comes into a machine, and may find secrets there.
    app.addHook("onRoute", (route) => {
      route.config = { ...route.config, scope: "run" };
    });
    const files = new SandboxFiles(context.access);
    reading(app, context, files);
    writing(app, context, files);
  };
}

function reading(app: App, { closing, visits }: Context, files: SandboxFiles): void {
  const read = {
    tags,
    operationId: "readWorkspaceFile",
    summary: "Read a file of a workspace",
    description: "From the machine that is up, else from the latest version, or from the one that is named.",
  };
  app.get(
    "/mags-workspaces/:id/files",
    { schema: { ...read, params, querystring: StoredFilePath } },
    async (request, reply) => {
      const { path, user, version } = request.query;
      const signal = hangUp(reply, closing);
      const visit = await visits.read(orgOf(request), request.params.id, version, signal);
      const content = await files
        .read({ place: visit.place, path, user, signal })
        .catch((error) => leave(visit, error));
      reply.headers({
        "content-type": "application/octet-stream",
        "content-length": content.size,
        "last-modified": content.modifiedAt.toUTCString(),
        "x-file-mode": content.mode,
      });
      return reply.send(Readable.from(andLeave(content.body, visit), { objectMode: false }));
    },
  );
  const list = { tags, operationId: "listWorkspaceDirectory", summary: "List a directory of a workspace" };
  app.get(
    "/mags-workspaces/:id/files/list",
    { schema: { ...list, params, querystring: StoredFilePath, response: { 200: DirectoryListing, ...failures } } },
    async (request, reply) => {
      const { path, user, version } = request.query;
      const signal = hangUp(reply, closing);
      const visit = await visits.read(orgOf(request), request.params.id, version, signal);
      const entries = await files
        .list({ place: visit.place, path, user, signal })
        .catch((error) => leave(visit, error));
      await visit.end(true);
      return { path, entries };
    },
  );
}

function writing(app: App, { closing, imports, visits }: Context, files: SandboxFiles): void {
  const write = {
    tags,
    operationId: "writeWorkspaceFile",
    summary: "Write a file of a workspace",
    description:
      "The body is the content; answered when it is durable. In the machine that is up, else as a new version. 409 while a job is about to have the workspace.",
  };
  app.put(
    "/mags-workspaces/:id/files",
    {
      bodyLimit: ANY_SIZE,
      schema: { ...write, params, querystring: FileWrite, response: { 200: FileDone, ...failures } },
    },
    async (request, reply) => {
      const { path, user, parents, mode } = request.query;
      const signal = hangUp(reply, closing);
      const visit = await visits.write(orgOf(request), request.params.id, { create: false, signal });
      const options = { parents: isSet(parents), mode };
      await files
        .write({ place: visit.place, path, user, signal }, request.raw, options)
        .catch((error) => leave(visit, error));
      await visit.end(true);
      return { path };
    },
  );
  const load = {
    tags,
    operationId: "importWorkspace",
    summary: "Unpack a tar into a workspace, or make one of an export",
    description:
      "Answered when it is durable. A tar is unpacked at `path`, in the machine that is up, else as a new version. With `format` the body is an export, of which a new workspace is made (409 where there is one of that name); a raw disk needs the scope admin. Where no machine is up, a body that is cut or wrong changes nothing.",
  };
  app.post(
    "/mags-workspaces/:id/import",
    {
      bodyLimit: ANY_SIZE,
      schema: { ...load, params, querystring: ImportQuery, response: { 200: FileDone, ...failures } },
    },
    async (request, reply) => {
      const { path, user, create, format, ...wanted } = request.query;
      const signal = hangUp(reply, closing);
      if (format) {
        refuseRaw(request, format);
        await imports.run(orgOf(request), request.params.id, { ...wanted, format }, request.raw, signal);
        return { path };
      }
      const visit = await visits.write(orgOf(request), request.params.id, { create: isSet(create), signal });
      await files.unpack({ place: visit.place, path, user, signal }, request.raw).catch((error) => leave(visit, error));
      await visit.end(true);
      return { path };
    },
  );
}

/** The kernel is not proof against every disk that is made to do harm. Throws ApiError forbidden. */
function refuseRaw(request: FastifyRequest, format: ExportFormat): void {
  if (format !== "ext4" || allows(callerOf(request).scopes, "admin")) return;
  throw new ApiError("forbidden", "importing a raw disk needs a token with the scope admin; a tar does not");
}

async function leave(visit: Visit, error: unknown): Promise<never> {
  await visit.end(false);
  throw error;
}

async function* andLeave(body: AsyncGenerator<Uint8Array>, visit: Visit): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } finally {
    await visit.end(true);
  }
}
