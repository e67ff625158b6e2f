import { type CallSettings, callJson, type HttpOptions } from "./http.ts";
import type { Node, NodeList } from "./wire.ts";

/** Machines that run sandboxes; for who runs the installation. All calls throw MagsError. */
export class NodesClient {
  readonly #http: HttpOptions;

  constructor(http: HttpOptions) {
    this.#http = http;
  }

  list(options: CallSettings = {}): Promise<NodeList> {
    return callJson(this.#http, "GET", "/nodes", options);
  }

  /** No new work for it from now on; it has finished when its state is `drained`. */
  drain(name: string, options: CallSettings = {}): Promise<Node> {
    return callJson(this.#http, "POST", `${path(name)}/drain`, options);
  }

  /** Puts it back into service. */
  undrain(name: string, options: CallSettings = {}): Promise<Node> {
    return callJson(this.#http, "POST", `${path(name)}/undrain`, options);
  }
}

const path = (name: string) => `/nodes/${encodeURIComponent(name)}`;
