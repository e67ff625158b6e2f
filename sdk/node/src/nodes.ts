import { type CallSettings, callJson, callRaw, type HttpOptions } from "./http.ts";
import type { FsckReport, JoinTokenMade, Node, NodeList, NodeRemoved } from "./wire.ts";

/** It lists all objects, twice, `seconds` */
const FSCK_SECONDS = 3600;

export interface JoinTokenOptions extends CallSettings {
  /** the one name it is for; any by default */
  node?: string | undefined;
  /** what the machine may be; both by default */
  roles?: ("agent" | "gateway")[] | undefined;
  /** 60 by default */
  expiresInMinutes?: number | undefined;
}

/** Machines that run sandboxes; for who runs the installation. All calls throw MagsError. */
export class NodesClient {
  readonly #http: HttpOptions;

  constructor(http: HttpOptions) {
    this.#http = http;
  }

  list(options: CallSettings = {}): Promise<NodeList> {
    return callJson(this.#http, "GET", "/nodes", options);
  }

  /**
   * Compares the ledger with the machines and the object store. `repair` takes away what belongs to nothing that lives, and
   * mends what can be mended safely.
   */
  fsck({ repair, signal }: CallSettings & { repair?: boolean | undefined } = {}): Promise<FsckReport> {
    const [method, at] = repair ? ["POST", "/mags-fsck/repair"] : ["GET", "/mags-fsck"];
    return callJson(this.#http, method as string, at as string, { signal, timeout: FSCK_SECONDS, once: true });
  }

  /** No new work for it from now on; it has finished when its state is `drained`. */
  drain(name: string, options: CallSettings = {}): Promise<Node> {
    return callJson(this.#http, "POST", `${path(name)}/drain`, options);
  }

  /** The answer's `join_token` makes one machine a node; it is shown this once. */
  createJoinToken({ node, roles, expiresInMinutes, signal }: JoinTokenOptions = {}): Promise<JoinTokenMade> {
    const body = { node, roles, expires_in_minutes: expiresInMinutes };
    return callJson(this.#http, "POST", "/nodes/join-tokens", { body, signal });
  }

  /** What it was given when it joined opens nothing any more. `force`: also one that is not known to be empty. */
  remove(name: string, { force, signal }: CallSettings & { force?: boolean } = {}): Promise<NodeRemoved> {
    return callJson(this.#http, "DELETE", `${path(name)}${force ? "?force=1" : ""}`, { signal });
  }

  /** Puts it back into service. */
  undrain(name: string, options: CallSettings = {}): Promise<Node> {
    return callJson(this.#http, "POST", `${path(name)}/undrain`, options);
  }

  /** Everything that the server's database holds, a tar compressed with zstd. The stream fails when it is cut off. */
  async backup(options: CallSettings = {}): Promise<AsyncIterable<Uint8Array>> {
    const { body } = await callRaw(this.#http, "GET", "/backup", options);
    return body as unknown as AsyncIterable<Uint8Array>;
  }
}

const path = (name: string) => `/nodes/${encodeURIComponent(name)}`;
