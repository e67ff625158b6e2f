import { Upstream, type UpstreamOptions } from "@mags/kit";
import {
  ChunksClaimed,
  Claimed,
  type ClaimJobs,
  type CommitVersion,
  ErrorBody,
  LeasesRenewed,
  Registered,
  type RegisterNode,
  type RenewLeases,
  type ReportJob,
  type ReportTraffic,
  type ReportWorkspaces,
  VersionCommitted,
  WorkspacesReported,
} from "@mags/protocol";
import { z } from "zod";

/** The server answered 409: what was sent belongs to an attempt, a fence or a boot that is over. */
export class Fenced extends Error {
  override readonly name = "Fenced";
  /** code of the answer, `conflict` or a more exact one */
  readonly code: string;
  /** what is no longer the current one */
  readonly field: string | undefined;

  constructor(text: string) {
    const body = ErrorBody.safeParse(parseJson(text));
    super(body.success ? body.data.message : text);
    this.code = body.success ? body.data.error.code : "conflict";
    this.field = body.success ? body.data.error.field : undefined;
  }
}

/** Which agent process speaks: the node's name, and an id that each start of the agent makes anew. */
export interface Identity {
  node: string;
  boot_id: string;
}

/** On top of the time that the server may hold a claim, `ms`. */
const CLAIM_SLACK_MS = 5000;

type Without<T> = Omit<T, keyof Identity>;

/** The server as the agent sees it. Calls throw on network errors and on statuses other than 2xx, Fenced on 409. */
export class ControlPlane {
  readonly #server: Upstream;
  readonly identity: Identity;

  constructor(server: UpstreamOptions, identity: Identity) {
    this.#server = new Upstream(server);
    this.identity = identity;
  }

  register(node: Without<RegisterNode>) {
    return this.#post("register", node, Registered, AbortSignal.timeout(10_000));
  }

  claim(request: Without<ClaimJobs>, signal: AbortSignal) {
    // A connection that was cut without a word would hold the claim for many minutes.
    const given = AbortSignal.any([signal, AbortSignal.timeout(request.wait_ms + CLAIM_SLACK_MS)]);
    return this.#post("claim", request, Claimed, given);
  }

  renew(request: Without<z.infer<typeof RenewLeases>>) {
    return this.#post("renew", request, LeasesRenewed, AbortSignal.timeout(5000));
  }

  report(report: ReportJob) {
    return this.#post("report", report, z.unknown(), AbortSignal.timeout(10_000));
  }

  reportTraffic(machines: ReportTraffic["machines"]) {
    return this.#post("traffic", { machines }, z.unknown(), AbortSignal.timeout(10_000));
  }

  claimChunks(org: string, chunks: { hash: string; bytes: number }[], signal: AbortSignal) {
    const given = AbortSignal.any([signal, AbortSignal.timeout(30_000)]);
    return this.#post("chunks/claim", { org, chunks }, ChunksClaimed, given);
  }

  commitVersion(commit: Without<CommitVersion>, signal: AbortSignal) {
    const given = AbortSignal.any([signal, AbortSignal.timeout(60_000)]);
    return this.#post("versions", commit, VersionCommitted, given);
  }

  /** `all`: of other workspaces there is nothing here. */
  reportWorkspaces(workspaces: ReportWorkspaces["workspaces"], all: boolean) {
    return this.#post("workspaces/progress", { all, workspaces }, WorkspacesReported, AbortSignal.timeout(10_000));
  }

  async #post<T extends z.ZodType>(path: string, body: object, schema: T, signal?: AbortSignal): Promise<z.infer<T>> {
    const response = await this.#server.fetch(`/node/v1/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...this.identity, ...body }),
      signal,
    });
    const text = await response.text();
    if (response.status === 409) throw new Fenced(text);
    if (!response.ok) throw new Error(`server answered ${response.status} to ${path}: ${text.slice(0, 300)}`);
    return schema.parse(text === "" ? {} : JSON.parse(text));
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
