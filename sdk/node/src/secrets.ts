import { type CallSettings, callJson, type HttpOptions } from "./http.ts";
import type { Secret, SecretDeleted, SecretList } from "./wire.ts";

/** Values that jobs are given by name; none is ever read back. All calls throw MagsError. */
export class SecretsClient {
  readonly #http: HttpOptions;

  constructor(http: HttpOptions) {
    this.#http = http;
  }

  list(options: CallSettings = {}): Promise<SecretList> {
    return callJson(this.#http, "GET", "/secrets", options);
  }

  /** Makes a new version. */
  set(name: string, value: string, options: CallSettings = {}): Promise<Secret> {
    return callJson(this.#http, "PUT", path(name), { body: { value }, signal: options.signal, once: true });
  }

  /** With all versions. */
  delete(name: string, options: CallSettings = {}): Promise<SecretDeleted> {
    return callJson(this.#http, "DELETE", path(name), options);
  }
}

const path = (name: string) => `/secrets/${encodeURIComponent(name)}`;
