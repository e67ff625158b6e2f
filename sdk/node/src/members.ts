import { type CallSettings, callJson, type HttpOptions } from "./http.ts";
import type { Member, MemberDeleted, MemberList, MemberMade } from "./wire.ts";

export interface MemberOptions extends CallSettings {
  name?: string | undefined;
  /** member by default */
  role?: Member["role"] | undefined;
  /** without one the answer holds an invitation */
  password?: string | undefined;
}

/** The people of the organisation. All calls throw MagsError. */
export class MembersClient {
  readonly #http: HttpOptions;

  constructor(http: HttpOptions) {
    this.#http = http;
  }

  list(options: CallSettings = {}): Promise<MemberList> {
    return callJson(this.#http, "GET", "/members", options);
  }

  /** The answer's `invite` is a link to hand on; it is shown this once. */
  add(email: string, { name, role, password, signal }: MemberOptions = {}): Promise<MemberMade> {
    return callJson(this.#http, "POST", "/members", { body: { email, name, role, password }, signal });
  }

  update(
    id: string,
    changes: { name?: string; role?: Member["role"]; disabled?: boolean },
    options: CallSettings = {},
  ): Promise<Member> {
    return callJson(this.#http, "PATCH", path(id), { body: changes, signal: options.signal });
  }

  /** With the member's tokens and sign-ins. */
  delete(id: string, options: CallSettings = {}): Promise<MemberDeleted> {
    return callJson(this.#http, "DELETE", path(id), options);
  }

  /** A new link, also for a lost password; the one before ends. */
  invite(id: string, options: CallSettings = {}): Promise<MemberMade> {
    return callJson(this.#http, "POST", `${path(id)}/invite`, options);
  }
}

const path = (id: string) => `/members/${encodeURIComponent(id)}`;
