import { type CallSettings, callJson, type HttpOptions } from "./http.ts";
import type {
  LoginApproved,
  LoginExchanged,
  OrganisationList,
  OrganisationMade,
  TokenList,
  TokenMade,
  Whoami,
} from "./wire.ts";

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

  /** Lets a program in that has the secret behind `challenge`; answers the code that it needs. */
  approveLogin(
    login: { challenge: string; name: string; scope?: "read" | "run" | "admin" | undefined },
    options: CallSettings = {},
  ): Promise<LoginApproved> {
    return callJson(this.#http, "POST", "/logins", { body: login, signal: options.signal });
  }

  /** Takes an approved login up: the program's side, which needs no token and gets one. */
  exchangeLogin(code: string, verifier: string, options: CallSettings = {}): Promise<LoginExchanged> {
    const body = { code, verifier };
    return callJson(this.#http, "POST", "/logins/exchange", { body, once: true, signal: options.signal });
  }

  /** Makes an organisation and its first token; for who runs the server. */
  createOrganisation(id: string, options: CallSettings = {}): Promise<OrganisationMade> {
    return callJson(this.#http, "POST", "/organisations", { body: { id }, signal: options.signal });
  }

  organisations(options: CallSettings = {}): Promise<OrganisationList> {
    return callJson(this.#http, "GET", "/organisations", options);
  }
}
