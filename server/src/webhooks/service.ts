import { randomBytes, randomUUID } from "node:crypto";
import type { Logger } from "@mags/kit";
import {
  ApiError,
  type CreateWebhook,
  type Delivery,
  type DeliveryList,
  type UpdateWebhook,
  type Webhook,
  type WebhookMade,
  webhookLimits,
} from "@mags/protocol";
import type { Database, Queryable } from "../db/database.ts";
import type { SecretKeys } from "../secrets/service.ts";
import { Addresses } from "./addresses.ts";
import { decideDisable, decideRetry, type RetryRules, retryRules } from "./decide.ts";
import { type Sent, send } from "./send.ts";
import {
  changeWebhook,
  type DeliveryRow,
  deleteWebhook,
  findWebhook,
  forgetDeliveries,
  insertDelivery,
  insertWebhook,
  listDeliveries,
  listWebhooks,
  lockOutdated,
  replay,
  settle,
  takeDue,
  type WebhookRow,
} from "./store.ts";

const BATCH = 20;
/** Longer than a try may take, `s`. */
const TAKEN_SECONDS = 60;
const PREFIX = "whsec_";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export interface WebhookOptions {
  /** private networks that may be called all the same */
  allow: string[];
  retry?: RetryRules | undefined;
}

/** Tells others what becomes of jobs. The events are written by the database itself, see the migration of webhooks. */
export class Webhooks {
  readonly #db: Database;
  readonly #keys: SecretKeys;
  readonly #rules: RetryRules;
  readonly #addresses: Addresses;
  readonly #logger: Logger;

  constructor(db: Database, keys: SecretKeys, options: WebhookOptions, logger: Logger) {
    this.#db = db;
    this.#keys = keys;
    this.#rules = options.retry ?? retryRules;
    this.#addresses = new Addresses(options.allow);
    this.#logger = logger;
  }

  /** Throws ApiError quota_exceeded. */
  async create(org: string, { url, events, description = "" }: CreateWebhook): Promise<WebhookMade> {
    return this.#db.transaction(async (tx) => {
      if ((await listWebhooks(tx, org)).length >= webhookLimits.perOrganisation)
        throw new ApiError(
          "quota_exceeded",
          `the organisation has ${webhookLimits.perOrganisation} webhooks: delete some`,
        );
      const id = randomUUID();
      const { secret, ...key } = this.#newKey(id);
      const row = await insertWebhook(tx, { id, org, url, events, description: description || null, ...key });
      return { ...toWebhook(row), secret };
    });
  }

  async list(org: string): Promise<{ webhooks: Webhook[]; total: number }> {
    const webhooks = (await listWebhooks(this.#db, org)).map(toWebhook);
    return { webhooks, total: webhooks.length };
  }

  /** Switching one on forgets its failures. Throws ApiError not_found. */
  async update(org: string, id: string, change: UpdateWebhook): Promise<Webhook> {
    const fresh = change.enabled ? { disabled_reason: null, failing_since: null } : {};
    return toWebhook(found(await changeWebhook(this.#db, org, id, { ...change, ...fresh } as Partial<WebhookRow>), id));
  }

  /** With its deliveries. Throws ApiError not_found. */
  async remove(org: string, id: string): Promise<void> {
    if (!(await deleteWebhook(this.#db, org, id))) found(undefined, id);
  }

  /** A new key for signatures; the old one ends. Throws ApiError not_found. */
  async rotate(org: string, id: string): Promise<WebhookMade> {
    const { secret, ...key } = this.#newKey(id);
    return { ...toWebhook(found(await changeWebhook(this.#db, org, id, key), id)), secret };
  }

  /** Sends an event that says that it is a test. Throws ApiError not_found. */
  async test(org: string, id: string): Promise<Delivery> {
    const { url } = found(await findWebhook(this.#db, org, id), id);
    const body = { type: "test", timestamp: new Date().toISOString(), data: { webhook: id, url } };
    return toDelivery(await insertDelivery(this.#db, org, id, "test", body));
  }

  /** Throws ApiError not_found. */
  async deliveries(
    org: string,
    id: string,
    state: Delivery["state"] | undefined,
    page: number,
    size: number,
  ): Promise<DeliveryList> {
    found(await findWebhook(this.#db, org, id), id);
    const { deliveries, total } = await listDeliveries(this.#db, org, id, state, size, (page - 1) * size);
    return { deliveries: deliveries.map(toDelivery), total, page, page_size: size };
  }

  /** Throws ApiError not_found. */
  async replay(org: string, id: string, delivery: string): Promise<Delivery> {
    const row = UUID.test(delivery) ? await replay(this.#db, org, id, delivery) : undefined;
    if (!row) throw new ApiError("not_found", `there is no delivery ${delivery} of webhook ${id}`);
    return toDelivery(row);
  }

  /** Delivers what is due. Any number of servers may do so at a time. */
  async deliverDue(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const due = await takeDue(this.#db, BATCH, TAKEN_SECONDS);
      await Promise.all(due.map((delivery) => this.#deliver(delivery)));
      if (due.length < BATCH) return;
    }
  }

  /** Encrypts keys of signatures with the current key, and forgets old deliveries. */
  async tidy(): Promise<void> {
    await forgetDeliveries(this.#db);
    await this.#db.transaction(async (tx) => {
      for (const { id, org, key_id, sealed } of await lockOutdated(tx, this.#keys.currentId, 1000)) {
        const { keyId, bytes } = this.#keys.seal(
          this.#keys.open({ keyId: key_id, bytes: sealed }, bound(id)),
          bound(id),
        );
        await changeWebhook(tx, org, id, { key_id: keyId, sealed: bytes });
      }
    });
  }

  async #deliver(delivery: DeliveryRow): Promise<void> {
    const hook = await findWebhook(this.#db, delivery.org, delivery.webhook);
    if (!hook) return;
    const sent = hook.enabled
      ? await this.#send(hook, delivery)
      : { statusCode: null, error: "the webhook is switched off" };
    const next = hook.enabled
      ? decideRetry(delivery.attempts, sent, this.#rules, Math.random())
      : { state: "dead" as const };
    await this.#db.transaction(async (tx) => {
      await settle(tx, delivery, next.state, "waitSeconds" in next ? next.waitSeconds : null, sent);
      if (hook.enabled) await this.#judge(tx, hook, sent);
    });
    if (sent.error !== null)
      this.#logger.info(
        { webhook: hook.id, delivery: delivery.id, err: sent.error, state: next.state },
        "a delivery failed",
      );
  }

  async #send(hook: WebhookRow, { id, body }: DeliveryRow): Promise<Sent> {
    try {
      const secret = this.#keys.open({ keyId: hook.key_id, bytes: hook.sealed }, bound(hook.id));
      const key = Buffer.from(secret.slice(PREFIX.length), "base64");
      return await send({ id, url: hook.url, body: JSON.stringify(body), secret: key }, this.#addresses);
    } catch (error) {
      return { statusCode: null, error: (error as Error).message };
    }
  }

  async #judge(tx: Queryable, { id, org, failing_since }: WebhookRow, sent: Sent): Promise<void> {
    const now = new Date();
    const reason = decideDisable(sent, failing_since, now, this.#rules);
    if (reason !== undefined) await changeWebhook(tx, org, id, { enabled: false, disabled_reason: reason });
    else if (sent.error === null && failing_since !== null) await changeWebhook(tx, org, id, { failing_since: null });
    else if (sent.error !== null && failing_since === null) await changeWebhook(tx, org, id, { failing_since: now });
  }

  #newKey(id: string) {
    const secret = PREFIX + randomBytes(24).toString("base64");
    const { keyId: key_id, bytes: sealed } = this.#keys.seal(secret, bound(id));
    return { secret, key_id, sealed };
  }
}

const bound = (id: string): string => `webhook ${id}`;

function found<T>(row: T | undefined, id: string): T {
  if (!row) throw new ApiError("not_found", `there is no webhook ${id}`);
  return row;
}

const toWebhook = (row: WebhookRow): Webhook => ({
  id: row.id,
  url: row.url,
  events: row.events,
  description: row.description,
  enabled: row.enabled,
  disabled_reason: row.disabled_reason,
  failing_since: row.failing_since?.toISOString() ?? null,
  created_at: row.created_at.toISOString(),
});

const toDelivery = (row: DeliveryRow): Delivery => ({
  id: row.id,
  event: row.event,
  request_id: row.job,
  state: row.state,
  attempts: row.attempts,
  next_at: row.state === "pending" ? (row.next_at?.toISOString() ?? null) : null,
  status_code: row.status_code,
  error: row.error,
  created_at: row.created_at.toISOString(),
  ended_at: row.ended_at?.toISOString() ?? null,
});
