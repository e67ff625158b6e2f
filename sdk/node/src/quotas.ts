import { type CallSettings, callJson, type HttpOptions } from "./http.ts";
import type { OrganisationQuota } from "./wire.ts";

/** null takes a limit back to the server's default. */
export type QuotaChange = Partial<OrganisationQuota["limits"]>;

/** What organisations may have, and have. All calls throw MagsError. */
export class QuotasClient {
  readonly #http: HttpOptions;

  constructor(http: HttpOptions) {
    this.#http = http;
  }

  /** Of the own organisation, or for who runs the server of any. */
  get(organisation?: string, options: CallSettings = {}): Promise<OrganisationQuota> {
    return callJson(this.#http, "GET", organisation === undefined ? "/quota" : path(organisation), options);
  }

  /** For who runs the server. */
  update(organisation: string, limits: QuotaChange, options: CallSettings = {}): Promise<OrganisationQuota> {
    return callJson(this.#http, "PATCH", path(organisation), { body: limits, signal: options.signal });
  }
}

const path = (organisation: string) => `/organisations/${encodeURIComponent(organisation)}/quota`;
