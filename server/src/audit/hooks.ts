import { createHash } from "node:crypto";
import type { Logger } from "@mags/kit";
import type { AuditEntry } from "@mags/protocol";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { type Acting, acting } from "../db/acting.ts";
import type { Database } from "../db/database.ts";
import type { Caller } from "../tokens/service.ts";
import type { Audit, NewEntry } from "./service.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /**
     * true: noted although it is a GET; "own": what it calls notes it better; "ahead": calls noteAhead
     * when it begins, because it goes on for long
     */
    audit?: true | "own" | "ahead";
  }
  interface FastifyRequest {
    audited: Audited | undefined;
  }
}

interface Audited {
  entry(): NewEntry;
  written: boolean;
  /** Writes it beside what goes on. */
  ahead(): void;
}

/** Text fields of bodies that are names or settings, never something to be kept from others. */
const TELLING = new Set(
  "name email role workspace_id base_workspace_id subdomain domain cron_expression time_zone overlap missed rootfs_type isolation access url id user cwd".split(
    " ",
  ),
);
const LONGEST = 256;

/**
 * Notes every request that changes something, and those that say so, for the caller's organisation. The entry goes into the
 * first transaction that the request commits; where there is none it is written before the answer leaves. So a new route is
 * in the log without a word of its own.
 */
export function auditRequests(app: FastifyInstance, needs: { db: Database; audit: Audit; logger: Logger }): void {
  const { db, audit, logger } = needs;
  app.addHook("preHandler", (request, _, done) => {
    const { caller } = request;
    if (!caller) return done();
    const who: Acting = { actor: actorOf(caller), requestId: request.id, address: request.ip };
    if (!isNoted(request) || request.routeOptions.config.audit === "own") return acting.run(who, done);
    who.beforeCommit = (tx) => write(tx);
    const ahead = () => {
      write(db).catch((err) => logger.error({ err, request_id: request.id }, "an audit entry could not be written"));
    };
    const audited: Audited = { entry: () => entryOf(request, caller, who.job), written: false, ahead };
    request.audited = audited;
    const write = async (q: Pick<Database, "query">) => {
      if (audited.written) return;
      audited.written = true;
      await audit.note(q, audited.entry());
    };
    acting.run(who, done);
  });
  app.addHook("onSend", async (request, reply) => {
    const { audited } = request;
    if (!audited || audited.written) return;
    if (reply.statusCode >= 400 && reply.statusCode < 500) return;
    audited.written = true;
    await audit.note(db, { ...audited.entry(), outcome: reply.statusCode >= 500 ? "failed" : "done" });
  });
  app.addHook("onError", async (request, _, error) => {
    // What was refused before its handler: no such scope.
    const { caller } = request;
    if (!caller || (error as { code?: string }).code !== "forbidden" || !isNoted(request)) return;
    await audit.note(db, { ...entryOf(request, caller), outcome: "refused" });
  });
}

/** Notes a request now, beside what it does; for what goes on for long. */
export const noteAhead = (request: FastifyRequest): void => request.audited?.ahead();

const actorOf = ({ key, name, member }: Caller) =>
  key.startsWith("member:")
    ? { kind: "member" as const, name: member?.email ?? name }
    : { kind: "token" as const, name };

function isNoted({ method, headers, routeOptions }: FastifyRequest): boolean {
  const { audit } = routeOptions.config;
  if (audit !== undefined) return true;
  return (method !== "GET" && method !== "HEAD") || headers.upgrade !== undefined;
}

/** `job` is the one that the request means, perhaps by name. */
function entryOf(request: FastifyRequest, caller: Caller, job?: string): NewEntry {
  const params = Object.values((request.params ?? {}) as Record<string, string>);
  const body = describe(request.body);
  const schema = request.routeOptions.schema as { operationId?: string } | undefined;
  const named = ["name", "id", "email", "subdomain", "workspace_id"].map((field) => body[field]).find(Boolean);
  return {
    org: caller.org,
    actor: actorOf(caller),
    action: schema?.operationId ?? `${request.method} ${request.routeOptions.url}`,
    target: (params.length > 0 ? params.join("/") : ((named as string | undefined) ?? null))?.slice(0, LONGEST) ?? null,
    outcome: "done",
    details: job === undefined ? body : { ...body, job },
    requestId: request.id,
    address: request.ip,
  };
}

/** What may be told of a body: numbers, switches, and names; of a command, what can be compared with it. */
function describe(body: unknown): AuditEntry["details"] {
  if (typeof body !== "object" || body === null || Buffer.isBuffer(body)) return {};
  const told: AuditEntry["details"] = {};
  for (const [field, value] of Object.entries(body)) {
    if (typeof value === "number" || typeof value === "boolean") told[field] = value;
    else if (typeof value === "string" && TELLING.has(field)) told[field] = value.slice(0, LONGEST);
    else if (field === "scopes" || field === "events") told[field] = [value].flat().map(String);
    else if (field === "command" || field === "argv" || field === "script") told[`${field}_sha256`] = sha256(value);
  }
  return told;
}

const sha256 = (value: unknown) =>
  createHash("sha256")
    .update(typeof value === "string" ? value : JSON.stringify(value))
    .digest("hex");
