import {
  Claimed,
  type ClaimJobs,
  LeasesRenewed,
  Registered,
  type RegisterNode,
  type RenewLeases,
  type ReportJob,
} from "@mags/protocol";
import { z } from "zod";

/** The server answered that a report came too late: the job belongs to another attempt. */
export class Fenced extends Error {
  override readonly name = "Fenced";
}

/** The server as the agent sees it. Calls throw on network errors and on statuses other than 2xx. */
export class ControlPlane {
  readonly #url: string;
  readonly #token: string;

  constructor(url: string, token: string) {
    this.#url = url;
    this.#token = token;
  }

  register(node: RegisterNode) {
    return this.#post("register", node, Registered);
  }

  claim(request: ClaimJobs, signal: AbortSignal) {
    return this.#post("claim", request, Claimed, signal);
  }

  renew(request: z.infer<typeof RenewLeases>) {
    return this.#post("renew", request, LeasesRenewed, AbortSignal.timeout(5000));
  }

  /** Throws Fenced when the attempt is no longer the job's. */
  report(report: ReportJob) {
    return this.#post("report", report, z.unknown(), AbortSignal.timeout(10_000));
  }

  async #post<T extends z.ZodType>(path: string, body: unknown, schema: T, signal?: AbortSignal): Promise<z.infer<T>> {
    const response = await fetch(`${this.#url}/node/v1/${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.#token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
    const text = await response.text();
    if (response.status === 409) throw new Fenced(text);
    if (!response.ok) throw new Error(`server answered ${response.status} to ${path}: ${text.slice(0, 300)}`);
    return schema.parse(text === "" ? {} : JSON.parse(text));
  }
}
