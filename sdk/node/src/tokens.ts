import { type CallSettings, callJson, type HttpOptions } from "./http.ts";
import type { OrganisationList, OrganisationMade, TokenList, TokenMade, Whoami } from "./wire.ts";

export interface TokenOptions extends CallSettings {
  /** read, run (and read) or admin (and run); run by default */
  scopes?: ("read" | "run" | "admin" | "operator")[] | undefined;
  /** valid for ever by default */
  expiresInDays?: number | undefined;
}

/** Who may come in. All calls throw MagsError. */
export class TokensClient {
  readonly #http: HttpOptions;

  constructor(http: HttpOptions) {
    this.#http = http;
  }

  /** Whom the server takes this client for. */
  whoami(options: CallSettings = {}): Promise<Whoami> {
    return callJson(this.#http, "GET", "/whoami", options);
  }

  /** The answer's `token` is the secret; it is shown this once. */
  create(name: string, { scopes, expiresInDays, signal }: TokenOptions = {}): Promise<TokenMade> {
    return callJson(this.#http, "POST", "/tokens", { body: { name, scopes, expires_in_days: expiresInDays }, signal });
  }

  list(options: CallSettings = {}): Promise<TokenList> {
    return callJson(this.#http, "GET", "/tokens", options);
  }

  /** From then on no server takes it. */
  async revoke(id: string, options: CallSettings = {}): Promise<void> {
    await callJson(this.#http, "DELETE", `/tokens/${encodeURIComponent(id)}`, options);
  }

  /** Makes an organisation and its first token; for who runs the server. */
  createOrganisation(id: string, options: CallSettings = {}): Promise<OrganisationMade> {
    return callJson(this.#http, "POST", "/organisations", { body: { id }, signal: options.signal });
  }

  organisations(options: CallSettings = {}): Promise<OrganisationList> {
    return callJson(this.#http, "GET", "/organisations", options);
  }
}
