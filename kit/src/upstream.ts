import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { Agent, fetch as fetchOver } from "undici";

/** What a member of a closed group shows to the others, and by whom it knows them; PEM. */
export interface Credentials {
  authority: string;
  certificate: string;
  key: string;
}

/** How others of the same kind are reached: any of `urls` will do. */
export interface UpstreamOptions {
  urls: readonly string[];
  token: string;
  /** what is shown to https, where the other side must be the member `name` of the group */
  secure?: { credentials: Credentials; name: string } | undefined;
}

export type Fetch = (url: URL, init?: RequestInit) => Promise<Response>;

const CONNECT_MS = 5000;

/** Options of a TLS connection to the member `name`. Its certificate says who it is, wherever it listens. */
export const tlsTo = ({ authority, certificate, key }: Credentials, name: string) => ({
  ca: authority,
  cert: certificate,
  key,
  minVersion: "TLSv1.3" as const,
  checkServerIdentity: (_host: string, shown: PeerCertificate) => checkServerIdentity(name, shown),
});

/** `fetch` that speaks to the member `name` alone. */
export function fetchFrom(credentials: Credentials, name: string): Fetch {
  const dispatcher = new Agent({ connect: { ...tlsTo(credentials, name), timeout: CONNECT_MS } });
  return (url, init = {}) =>
    fetchOver(url, { ...init, dispatcher } as Parameters<typeof fetchOver>[1]) as unknown as Promise<Response>;
}

/** Calls one of several equals: the one that answered last, and where that fails, the next one at the next call. */
export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #secure: Fetch | undefined;
  #current = 0;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    const { secure } = options;
    this.#secure = secure && fetchFrom(secure.credentials, secure.name);
  }

  /** Throws when there is no answer; a call is never sent twice. */
  async fetch(path: string, init: RequestInit): Promise<Response> {
    const { urls, token } = this.#options;
    const used = this.#current;
    try {
      const headers = { ...init.headers, authorization: `Bearer ${token}` };
      const url = new URL(path, urls[used]);
      return await (url.protocol === "https:" && this.#secure ? this.#secure : fetch)(url, { ...init, headers });
    } catch (error) {
      if (this.#current === used) this.#current = (used + 1) % urls.length;
      throw error;
    }
  }
}
