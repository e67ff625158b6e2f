import { Readable } from "node:stream";
import {
  ApiError,
  Collected,
  DiffQuery,
  ErrorBody,
  ExportQuery,
  ForceQuery,
  ForkWorkspace,
  ListWorkspacesQuery,
  ResizeWorkspace,
  RollBack,
  SyncResult,
  VerifyWorkspace,
  VersionDeleted,
  VersionList,
  VersionVerified,
  Workspace,
  WorkspaceDeleted,
  WorkspaceDiff,
  WorkspaceList,
  WorkspaceVersion,
} from "@mags/protocol";
import { z } from "zod";
import { orgOf } from "../http/auth.ts";
import { type App, type Context, hangUp } from "../http/context.ts";
import { answerOnce, PostHeaders } from "../http/idempotency.ts";
import { JobParams } from "../jobs/params.ts";

const tags = ["workspaces"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };
const params = z.object({ id: z.string().describe("Name of the workspace") });
const versionParams = params.extend({ version: z.coerce.number().int().min(1) });
const forced = (force: string | undefined) => force === "1" || force === "true";

export function workspaceRoutes(context: Context) {
  return async (app: App): Promise<void> => {
    reading(app, context);
    changing(app, context);
    versions(app, context);
    syncing(app, context);
    collecting(app, context);
  };
}

function reading(app: App, { workspaces }: Context): void {
  const list = {
    tags,
    operationId: "listWorkspaces",
    summary: "List workspaces",
    description: "By name, page by page.",
  };
  app.get(
    "/mags-workspaces",
    { schema: { ...list, querystring: ListWorkspacesQuery, response: { 200: WorkspaceList, ...failures } } },
    (request) => workspaces.list(orgOf(request), request.query.page, request.query.page_size),
  );
  const show = {
    tags,
    operationId: "getWorkspace",
    summary: "Show a workspace",
    description: "With its recovery point: how much of it would be there if its node were lost now.",
  };
  app.get(
    "/mags-workspaces/:id",
    { schema: { ...show, params, response: { 200: Workspace, ...failures } } },
    (request) => workspaces.show(orgOf(request), request.params.id),
  );
}

function changing(app: App, context: Context): void {
  const { db, jobs, workspaces, live } = context;
  const remove = {
    tags,
    operationId: "deleteWorkspace",
    summary: "Delete a workspace and all its versions",
    description: "409 while jobs use it, unless forced. Its objects are removed by the next collections.",
  };
  app.delete(
    "/mags-workspaces/:id",
    { schema: { ...remove, params, querystring: ForceQuery, response: { 200: WorkspaceDeleted, ...failures } } },
    async (request) => {
      const org = orgOf(request);
      const stops = jobs.stopping(org);
      const stopped_jobs = await db.transaction((tx) =>
        workspaces.remove(tx, org, request.params.id, forced(request.query.force), stops.stop),
      );
      stops.afterCommit();
      return { workspace_id: request.params.id, deleted: true as const, stopped_jobs };
    },
  );
  const fork = {
    tags,
    operationId: "forkWorkspace",
    summary: "Make a new workspace from a version",
    description:
      "Takes milliseconds at any size: no object is copied. Later changes of either are not seen by the other.",
  };
  app.post(
    "/mags-workspaces/:id/fork",
    {
      schema: { ...fork, headers: PostHeaders, params, body: ForkWorkspace, response: { 201: Workspace, ...failures } },
    },
    (request, reply) =>
      answerOnce(
        db,
        request,
        reply,
        async (tx) => {
          const { workspace_id, version } = request.body;
          await workspaces.fork(tx, orgOf(request), request.params.id, workspace_id, version);
          return { status: 201, body: await workspaces.show(orgOf(request), workspace_id, tx) };
        },
        { single: false },
      ) as never,
  );
  const resize = {
    tags,
    operationId: "resizeWorkspace",
    summary: "Grow the disk of a workspace",
    description: "Also while its machine is up.",
  };
  app.post(
    "/mags-workspaces/:id/resize",
    { schema: { ...resize, params, body: ResizeWorkspace, response: { 200: Workspace, ...failures } } },
    async (request) => {
      const org = orgOf(request);
      await live.resize(org, await workspaces.find(org, request.params.id), request.body.disk_gb);
      return workspaces.show(org, request.params.id);
    },
  );
}

function versions(app: App, { db, jobs, workspaces, live, closing }: Context): void {
  const list = {
    tags,
    operationId: "listVersions",
    summary: "List the versions of a workspace",
    description: "Newest first.",
  };
  app.get(
    "/mags-workspaces/:id/versions",
    { schema: { ...list, params, response: { 200: VersionList, ...failures } } },
    (request) => workspaces.versions(orgOf(request), request.params.id),
  );
  const remove = {
    tags,
    operationId: "deleteVersion",
    summary: "Delete a version",
    description: "Not the latest, and not one that a job is about to start from (409).",
  };
  app.delete(
    "/mags-workspaces/:id/versions/:version",
    { schema: { ...remove, params: versionParams, response: { 200: VersionDeleted, ...failures } } },
    async (request) => {
      const { id, version } = request.params;
      await db.transaction((tx) => workspaces.removeVersion(tx, orgOf(request), id, version));
      return { workspace_id: id, version, deleted: true as const };
    },
  );
  const rollback = {
    tags,
    operationId: "rollBackWorkspace",
    summary: "Go back to a version",
    description:
      "Makes a new version with the content of the old one; nothing of the history is lost. 409 while a machine is up, unless forced.",
  };
  app.post(
    "/mags-workspaces/:id/rollback",
    {
      schema: {
        ...rollback,
        headers: PostHeaders,
        params,
        body: RollBack,
        response: { 200: WorkspaceVersion, ...failures },
      },
    },
    (request, reply) => {
      const stops = jobs.stopping(orgOf(request));
      const work = async (tx: Parameters<typeof stops.stop>[0]) => ({
        status: 200,
        body: await workspaces.rollBack(tx, orgOf(request), request.params.id, request.body, stops.stop),
        afterCommit: stops.afterCommit,
      });
      return answerOnce(db, request, reply, work, { single: false }) as never;
    },
  );
  const verify = {
    tags,
    operationId: "verifyWorkspace",
    summary: "Try whether a version can be restored",
    description: "Restores it into a scratch disk, checks every hash, checks the file system and mounts it.",
  };
  app.post(
    "/mags-workspaces/:id/verify",
    { schema: { ...verify, params, body: VerifyWorkspace, response: { 200: VersionVerified, ...failures } } },
    async (request, reply) => {
      const org = orgOf(request);
      const { node } = await workspaces.find(org, request.params.id);
      const version = await workspaces.version(org, request.params.id, request.body.version);
      return live.verify(org, node, version, hangUp(reply, closing));
    },
  );
  comparing(app, { workspaces, live, closing });
  const exporting = {
    tags,
    operationId: "exportWorkspace",
    summary: "Download a version",
    description:
      "As a tar of its files, the raw ext4 disk, or an OCI image layout. A download that fails on the way is cut off.",
  };
  app.get(
    "/mags-workspaces/:id/export",
    {
      schema: {
        ...exporting,
        params,
        querystring: ExportQuery,
        response: { 200: z.any().describe("The bytes, as application/octet-stream"), ...failures },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { format, version: number } = request.query;
      const org = orgOf(request);
      const workspace = await workspaces.find(org, id);
      const version = await workspaces.version(org, id, number);
      const bytes = await live.export(org, workspace, version, format, hangUp(reply, closing));
      const extension = format === "ext4" ? "ext4" : format === "oci" ? "oci.tar" : "tar";
      reply.header("content-type", format === "ext4" ? "application/octet-stream" : "application/x-tar");
      reply.header("content-disposition", `attachment; filename="${id}-${version.number}.${extension}"`);
      return reply.send(Readable.fromWeb(bytes as never));
    },
  );
}

function comparing(app: App, { workspaces, live, closing }: Pick<Context, "workspaces" | "live" | "closing">): void {
  const diff = {
    tags,
    operationId: "diffWorkspace",
    summary: "Show which files a version changed",
    description:
      "Beside what it was made from, or any other version: files that were added, removed or modified, as machines see them. Times and attributes alone make no difference.",
  };
  app.get(
    "/mags-workspaces/:id/diff",
    { schema: { ...diff, params, querystring: DiffQuery, response: { 200: WorkspaceDiff, ...failures } } },
    async (request, reply) => {
      const org = orgOf(request);
      const workspace = await workspaces.find(org, request.params.id);
      const { names, ...versions } = await workspaces.compared(org, request.params.id, request.query);
      return { ...names, ...(await live.diff(org, workspace, versions, hangUp(reply, closing))) };
    },
  );
}

function syncing(app: App, { jobs, workspaces, live, closing }: Context): void {
  const answers = { 200: SyncResult, 202: SyncResult.describe("It takes longer and goes on"), ...failures };
  const description =
    "Answers when everything written before is in the object store, 202 when that takes longer than 25 s; 503 says what is not durable.";
  app.post(
    "/mags-workspaces/:id/sync",
    {
      schema: {
        tags,
        operationId: "syncWorkspace",
        summary: "Make a workspace durable now",
        description,
        params,
        response: answers,
      },
    },
    async (request, reply) => {
      const { id } = await workspaces.find(orgOf(request), request.params.id);
      const result = await live.sync(orgOf(request), id, hangUp(reply, closing));
      return reply.status(result.synced ? 200 : 202).send(result);
    },
  );
  app.post(
    "/mags-jobs/:id/sync",
    {
      schema: {
        tags: ["jobs"],
        operationId: "syncJob",
        summary: "Make what a job has written durable now",
        description,
        params: JobParams,
        response: answers,
      },
    },
    async (request, reply) => {
      const org = orgOf(request);
      const { id } = request.params;
      // Clients give the name of a workspace here, also when none of its jobs is live.
      const workspace = await jobs.workspaceOf(org, id).catch(async (error) => {
        const named =
          error instanceof ApiError && error.code === "not_found" ? await workspaces.named(org, id) : undefined;
        if (!named) throw error;
        return named.id;
      });
      const result = await live.sync(org, workspace, hangUp(reply, closing));
      return reply.status(result.synced ? 200 : 202).send(result);
    },
  );
}

function collecting(app: App, { collector, closing }: Context): void {
  const collect = {
    tags,
    operationId: "collectWorkspaces",
    summary: "Remove what nothing refers to, now",
    description:
      "Versions that retention does not keep, then chunks that no version needs and that were not claimed within the grace period. Done by itself from time to time; 409 while that is so.",
  };
  app.post(
    "/mags-workspaces/collect",
    { config: { scope: "admin" }, schema: { ...collect, response: { 200: Collected, ...failures } } },
    (request) => collector.collect(orgOf(request), closing),
  );
}
