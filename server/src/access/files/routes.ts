import { Readable } from "node:stream";
import { drained } from "@mags/kit";
import {
  ApiError,
  DirectoryListing,
  ErrorBody,
  FileDone,
  FileEntry,
  FileMakeDirectory,
  FilePath,
  FileRemove,
  FileWatch,
  FileWrite,
} from "@mags/protocol";
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { orgOf } from "../../http/auth.ts";
import { type App, type Context, hangUp, rawOf } from "../../http/context.ts";
import { type FileAt, SandboxFiles } from "./service.ts";

const tags = ["files in machines"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };
const params = z.object({ id: z.string().describe("Id of a job, or the name or workspace of a live one") });
const HEARTBEAT_MS = 10_000;

type Asked = FastifyRequest<{ Params: z.infer<typeof params>; Querystring: z.infer<typeof FilePath> }>;

const isSet = (flag: string | undefined) => flag === "1" || flag === "true";

/** The files of a live machine: contents, directories, archives, and what changes in them. */
export function sandboxFileRoutes(context: Context) {
  return async (app: App): Promise<void> => {
    // Bodies are contents: they are passed on as they come, whatever they are said to be.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", (_request, _payload, done) => done(null));
    // Also reading comes into the machine, wakes it, and may find secrets there.
    app.addHook("onRoute", (route) => {
      route.config = { ...route.config, scope: "run" };
    });
    const files = new SandboxFiles(context.access);
    const locate = async (request: unknown, reply: FastifyReply): Promise<FileAt> => {
      const { params, query } = request as Asked;
      const signal = hangUp(reply, context.closing);
      const place = await context.access.find(orgOf(request as Asked), params.id, signal);
      return { place, path: query.path, user: query.user, signal };
    };
    contents(app, files, locate);
    directories(app, files, locate);
    archives(app, files, locate);
    watching(app, files, locate);
  };
}

type Locate = (request: unknown, reply: FastifyReply) => Promise<FileAt>;
/** Streamed, so that no size is too large. */
const ANY_SIZE = Number.MAX_SAFE_INTEGER;

function contents(app: App, files: SandboxFiles, locate: Locate): void {
  app.get(
    "/mags-jobs/:id/files",
    {
      schema: {
        tags,
        operationId: "readFile",
        summary: "Read a file of a live machine",
        params,
        querystring: FilePath,
      },
    },
    async (request, reply) => {
      const content = await files.read(await locate(request, reply));
      reply.headers({
        "content-type": "application/octet-stream",
        "content-length": content.size,
        "last-modified": content.modifiedAt.toUTCString(),
        "x-file-mode": content.mode,
      });
      return reply.send(Readable.from(content.body, { objectMode: false }));
    },
  );
  app.put(
    "/mags-jobs/:id/files",
    {
      bodyLimit: ANY_SIZE,
      schema: {
        tags,
        operationId: "writeFile",
        summary: "Write a file of a live machine",
        description: "The body is the content. The file is replaced in one step at its end, or stays as it was.",
        params,
        querystring: FileWrite,
        response: { 200: FileDone, ...failures },
      },
    },
    async (request, reply) => {
      const { path, parents, mode } = request.query;
      await files.write(await locate(request, reply), request.raw, { parents: isSet(parents), mode });
      return { path };
    },
  );
  app.delete(
    "/mags-jobs/:id/files",
    {
      schema: {
        tags,
        operationId: "removeFile",
        summary: "Remove a file or directory of a live machine",
        params,
        querystring: FileRemove,
        response: { 200: FileDone, ...failures },
      },
    },
    async (request, reply) => {
      await files.remove(await locate(request, reply), isSet(request.query.recursive));
      return { path: request.query.path };
    },
  );
}

function directories(app: App, files: SandboxFiles, locate: Locate): void {
  app.get(
    "/mags-jobs/:id/files/list",
    {
      schema: {
        tags,
        operationId: "listDirectory",
        summary: "List a directory of a live machine",
        params,
        querystring: FilePath,
        response: { 200: DirectoryListing, ...failures },
      },
    },
    async (request, reply) => ({ path: request.query.path, entries: await files.list(await locate(request, reply)) }),
  );
  app.get(
    "/mags-jobs/:id/files/stat",
    {
      schema: {
        tags,
        operationId: "statFile",
        summary: "Say what is known of a file of a live machine",
        description: "Of a symlink itself, not of what it leads to.",
        params,
        querystring: FilePath,
        response: { 200: FileEntry, ...failures },
      },
    },
    async (request, reply) => files.stat(await locate(request, reply)),
  );
  app.post(
    "/mags-jobs/:id/files/mkdir",
    {
      schema: {
        tags,
        operationId: "makeDirectory",
        summary: "Make a directory in a live machine",
        params,
        querystring: FileMakeDirectory,
        response: { 200: FileDone, ...failures },
      },
    },
    async (request, reply) => {
      await files.makeDirectory(await locate(request, reply), isSet(request.query.parents));
      return { path: request.query.path };
    },
  );
}

function archives(app: App, files: SandboxFiles, locate: Locate): void {
  app.get(
    "/mags-jobs/:id/files/tar",
    {
      schema: {
        tags,
        operationId: "packDirectory",
        summary: "Get a directory of a live machine as tar",
        params,
        querystring: FilePath,
      },
    },
    async (request, reply) => {
      const body = await files.pack(await locate(request, reply));
      return reply.header("content-type", "application/x-tar").send(Readable.from(body, { objectMode: false }));
    },
  );
  app.put(
    "/mags-jobs/:id/files/tar",
    {
      bodyLimit: ANY_SIZE,
      schema: {
        tags,
        operationId: "unpackDirectory",
        summary: "Unpack a tar into a directory of a live machine",
        description:
          "The directory is made where it is missing. What has been unpacked stays when the body is cut or wrong.",
        params,
        querystring: FilePath,
        response: { 200: FileDone, ...failures },
      },
    },
    async (request, reply) => {
      await files.unpack(await locate(request, reply), request.raw);
      return { path: request.query.path };
    },
  );
}

function watching(app: App, files: SandboxFiles, locate: Locate): void {
  app.get(
    "/mags-jobs/:id/files/watch",
    {
      schema: {
        tags,
        operationId: "watchFiles",
        summary: "Follow what changes in a directory of a live machine",
        description:
          "Server-Sent Events: `ready` when what is there is known, then `change` for each file that was created, modified or deleted, at any depth; `error` when it cannot go on. The tree is looked at every `interval`, so what comes and goes in between is not seen.",
        params,
        querystring: FileWatch,
      },
    },
    async (request, reply) => {
      const changes = files.watch(await locate(request, reply), request.query.interval);
      // The first look decides between an error answer and a stream.
      let next = await changes.next();
      reply.hijack();
      const out = rawOf(reply as never);
      out.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache, no-transform" });
      out.write("event: ready\ndata: {}\n\n");
      const heartbeat = setInterval(() => out.write(": still here\n\n"), HEARTBEAT_MS);
      try {
        for (; !next.done && !out.destroyed; next = await changes.next()) {
          const events = next.value.map((change) => `event: change\ndata: ${JSON.stringify(change)}\n\n`);
          out.write(events.join(""));
          await drained(out);
        }
      } catch (error) {
        const known = error instanceof ApiError ? error : new ApiError("internal", (error as Error).message);
        out.write(`event: error\ndata: ${JSON.stringify(known.toBody())}\n\n`);
      } finally {
        clearInterval(heartbeat);
        out.end();
      }
      return reply;
    },
  );
}
