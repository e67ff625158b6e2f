import { type CallSettings, callJson, type HttpOptions } from "./http.ts";
import type { Delivery, DeliveryList, Webhook, WebhookDeleted, WebhookList, WebhookMade } from "./wire.ts";

export interface WebhookOptions {
  /** the ends of jobs by default */
  events?: Webhook["events"] | undefined;
  description?: string | undefined;
}

/** Who is told of jobs. All calls throw MagsError. */
export class WebhooksClient {
  readonly #http: HttpOptions;

  constructor(http: HttpOptions) {
    this.#http = http;
  }

  /** The answer's `secret` checks signatures; it is shown this once. */
  create(url: string, { events, description }: WebhookOptions = {}, options: CallSettings = {}): Promise<WebhookMade> {
    return callJson(this.#http, "POST", "/webhooks", { body: { url, events, description }, signal: options.signal });
  }

  list(options: CallSettings = {}): Promise<WebhookList> {
    return callJson(this.#http, "GET", "/webhooks", options);
  }

  update(
    id: string,
    changes: WebhookOptions & { url?: string | undefined; enabled?: boolean | undefined },
    options: CallSettings = {},
  ): Promise<Webhook> {
    return callJson(this.#http, "PATCH", path(id), { body: changes, signal: options.signal });
  }

  delete(id: string, options: CallSettings = {}): Promise<WebhookDeleted> {
    return callJson(this.#http, "DELETE", path(id), options);
  }

  /** A new `secret`; the one before ends. */
  rotate(id: string, options: CallSettings = {}): Promise<WebhookMade> {
    return callJson(this.#http, "POST", `${path(id)}/rotate`, options);
  }

  test(id: string, options: CallSettings = {}): Promise<Delivery> {
    return callJson(this.#http, "POST", `${path(id)}/test`, options);
  }

  /** Newest first. */
  deliveries(
    id: string,
    options: { state?: Delivery["state"]; page?: number; pageSize?: number } & CallSettings = {},
  ): Promise<DeliveryList> {
    const { state, page = 1, pageSize = 20, signal } = options;
    const only = state === undefined ? "" : `&state=${state}`;
    return callJson(this.#http, "GET", `${path(id)}/deliveries?page=${page}&page_size=${pageSize}${only}`, { signal });
  }

  replay(id: string, delivery: string, options: CallSettings = {}): Promise<Delivery> {
    return callJson(this.#http, "POST", `${path(id)}/deliveries/${encodeURIComponent(delivery)}/replay`, options);
  }
}

const path = (id: string) => `/webhooks/${encodeURIComponent(id)}`;
