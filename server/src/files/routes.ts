import type { IncomingMessage } from "node:http";
import multipart from "@fastify/multipart";
import { ApiError, ErrorBody, FileDeleted, FileList, FileName, ListFilesQuery, UploadedFile } from "@mags/protocol";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { orgOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";

const tags = ["files"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };
const Params = z.object({ id: z.uuid().describe("Id of an uploaded file") });
const Form = z.object({ file: z.file().describe("The file; its name is the one it will have in /root") });

export function fileRoutes({ files }: Context) {
  return async (app: App): Promise<void> => {
    // Limits of the form's frame; the file's own is counted where it is stored.
    const limits = { files: 2, fields: 16, fieldSize: 64 * 1024, headerPairs: 32, fileSize: Number.MAX_SAFE_INTEGER };
    await app.register(multipart, { limits, throwFileSizeLimit: false, defParamCharset: "utf8" } as object);
    app.post(
      "/mags-files",
      {
        // The form is read as a stream by the handler; there is no body to validate before.
        validatorCompiler: () => () => true,
        schema: {
          tags,
          operationId: "uploadFile",
          summary: "Upload a file",
          description:
            "Keeps one file for jobs that name its id in file_ids. A file that no job uses is removed after a time; expires_at says when.",
          consumes: ["multipart/form-data"],
          body: Form,
          response: { 201: UploadedFile.describe("Kept"), ...failures },
        },
      },
      async (request, reply) => reply.status(201).send(await upload(request)),
    );
    app.get(
      "/mags-files",
      {
        schema: {
          tags,
          operationId: "listFiles",
          summary: "List uploaded files",
          description: "Newest first, page by page.",
          querystring: ListFilesQuery,
          response: { 200: FileList, ...failures },
        },
      },
      (request) => files.list(orgOf(request), request.query.page, request.query.page_size),
    );
    app.get(
      "/mags-files/:id",
      {
        schema: {
          tags,
          operationId: "getFile",
          summary: "Show an uploaded file",
          description: "Name, size, SHA-256 and when it expires.",
          params: Params,
          response: { 200: UploadedFile, ...failures },
        },
      },
      (request) => files.find(orgOf(request), request.params.id),
    );
    app.delete(
      "/mags-files/:id",
      {
        schema: {
          tags,
          operationId: "deleteFile",
          summary: "Delete an uploaded file",
          description: "Jobs that have started keep what they were given. One that waits for the file answers 409.",
          params: Params,
          response: { 200: FileDeleted, ...failures },
        },
      },
      async (request) => {
        const { id } = request.params;
        await files.remove(orgOf(request), id);
        return { file_id: id, deleted: true as const };
      },
    );
  };

  async function upload(request: FastifyRequest): Promise<UploadedFile> {
    if (!request.isMultipart())
      throw new ApiError("unsupported_media_type", "send the file as multipart/form-data, in the field file");
    const org = orgOf(request);
    await files.refuseAnnounced(org, Number(request.headers["content-length"] ?? 0) - FRAME_BYTES);
    try {
      return await receiveForm(org, request);
    } catch (error) {
      readOn(request.raw);
      throw error;
    }
  }

  async function receiveForm(org: string, request: FastifyRequest): Promise<UploadedFile> {
    const parts = request.files();
    const first = (await parts.next()).value;
    if (!first) throw new ApiError("invalid_request", "the form has no file: send it in the field file", "file");
    const complete = async () => {
      if (!(await parts.next()).done)
        throw new ApiError("invalid_request", "the form has more than one file: send each by itself", "file");
    };
    return files.upload(org, nameOf(first.filename), first.file, complete);
  }
}

/** A sender whose connection is closed while it still sends may never see our answer; it gets a while to finish. */
function readOn(request: IncomingMessage): void {
  request.unpipe();
  request.resume();
  const timer = setTimeout(() => request.destroy(), LINGER_MS);
  request.once("close", () => clearTimeout(timer));
}

const LINGER_MS = 30_000;

/** What a form may have around its file, `bytes` */
const FRAME_BYTES = 64 * 1024;

function nameOf(filename: string | undefined): string {
  const parsed = FileName.safeParse(filename ?? "");
  if (parsed.success) return parsed.data;
  throw new ApiError("invalid_request", `the file's name ${parsed.error.issues[0]?.message}`, "file");
}
