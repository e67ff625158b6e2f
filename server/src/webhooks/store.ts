import type { Delivery, WebhookEvent } from "@mags/protocol";
import type { Queryable } from "../db/database.ts";

export interface WebhookRow {
  id: string;
  org: string;
  url: string;
  events: WebhookEvent[];
  description: string | null;
  key_id: string;
  sealed: Buffer;
  enabled: boolean;
  disabled_reason: string | null;
  failing_since: Date | null;
  created_at: Date;
}

type New = Pick<WebhookRow, "id" | "org" | "url" | "events" | "description" | "key_id" | "sealed">;

export async function insertWebhook(tx: Queryable, hook: New): Promise<WebhookRow> {
  const { rows } = await tx.query<WebhookRow>(
    `INSERT INTO webhooks (id, org, url, events, description, key_id, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *`,
    [hook.id, hook.org, hook.url, hook.events, hook.description, hook.key_id, hook.sealed],
  );
  return rows[0] as WebhookRow;
}

export async function listWebhooks(q: Queryable, org: string): Promise<WebhookRow[]> {
  return (await q.query<WebhookRow>("SELECT * FROM webhooks WHERE org = $1 ORDER BY created_at, id", [org])).rows;
}

export async function findWebhook(q: Queryable, org: string, id: string): Promise<WebhookRow | undefined> {
  return (await q.query<WebhookRow>("SELECT * FROM webhooks WHERE org = $1 AND id = $2", [org, id])).rows[0];
}

type Change = Partial<Omit<WebhookRow, "id" | "org" | "created_at">>;
const CHANGEABLE: (keyof Change)[] = [
  "url",
  "events",
  "description",
  "key_id",
  "sealed",
  "enabled",
  "disabled_reason",
  "failing_since",
];

/** Sets what `change` names. */
export async function changeWebhook(
  q: Queryable,
  org: string,
  id: string,
  change: Change,
): Promise<WebhookRow | undefined> {
  const fields = CHANGEABLE.filter((field) => change[field] !== undefined);
  const sets = fields.map((field, index) => `${field} = $${index + 3}`).join(", ");
  const text = `UPDATE webhooks SET ${sets} WHERE org = $1 AND id = $2 RETURNING *`;
  return (await q.query<WebhookRow>(text, [org, id, ...fields.map((field) => change[field])])).rows[0];
}

export async function deleteWebhook(q: Queryable, org: string, id: string): Promise<boolean> {
  return (await q.query("DELETE FROM webhooks WHERE org = $1 AND id = $2", [org, id])).rowCount === 1;
}

/** Some that were sealed with another key than the current one, of whatever organisation. */
export async function lockOutdated(tx: Queryable, keyId: string, limit: number): Promise<WebhookRow[]> {
  const text = "SELECT * FROM webhooks WHERE key_id <> $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED";
  return (await tx.query<WebhookRow>(text, [keyId, limit])).rows;
}

export interface DeliveryRow {
  id: string;
  org: string;
  webhook: string;
  event: string;
  job: string | null;
  body: object;
  state: Delivery["state"];
  attempts: number;
  next_at: Date | null;
  status_code: number | null;
  error: string | null;
  created_at: Date;
  ended_at: Date | null;
}

export async function insertDelivery(
  q: Queryable,
  org: string,
  webhook: string,
  event: string,
  body: object,
): Promise<DeliveryRow> {
  const { rows } = await q.query<DeliveryRow>(
    "INSERT INTO deliveries (org, webhook, event, body) VALUES ($1, $2, $3, $4) RETURNING *",
    [org, webhook, event, JSON.stringify(body)],
  );
  return rows[0] as DeliveryRow;
}

/**
 * Takes deliveries that are due, for `seconds`: whoever has them says before that what became of them, or is dead and another
 * server tries again. Then a receiver gets the same id twice.
 */
export async function takeDue(q: Queryable, limit: number, seconds: number): Promise<DeliveryRow[]> {
  const { rows } = await q.query<DeliveryRow>(
    `UPDATE deliveries SET attempts = attempts + 1, next_at = clock_timestamp() + $2::int * interval '1 second'
     WHERE id IN (SELECT id FROM deliveries WHERE state = 'pending' AND next_at <= clock_timestamp()
       ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING *`,
    [limit, seconds],
  );
  return rows;
}

/** Writes what became of a try; `waitSeconds` null ends it. */
export async function settle(
  tx: Queryable,
  { id, attempts }: DeliveryRow,
  state: Delivery["state"],
  waitSeconds: number | null,
  sent: { statusCode: number | null; error: string | null },
): Promise<void> {
  await tx.query(
    `UPDATE deliveries SET state = $3, status_code = $4, error = $5,
       next_at = clock_timestamp() + $6::float8 * interval '1 second', ended_at = CASE WHEN $3 <> 'pending' THEN clock_timestamp() END
     WHERE id = $1 AND attempts = $2 AND state = 'pending'`,
    [id, attempts, state, sent.statusCode, sent.error, waitSeconds],
  );
}

/** Begins a delivery anew. */
export async function replay(q: Queryable, org: string, webhook: string, id: string): Promise<DeliveryRow | undefined> {
  const { rows } = await q.query<DeliveryRow>(
    `UPDATE deliveries SET state = 'pending', attempts = 0, next_at = clock_timestamp(), ended_at = NULL, error = NULL, status_code = NULL
     WHERE org = $1 AND webhook = $2 AND id = $3 RETURNING *`,
    [org, webhook, id],
  );
  return rows[0];
}

export async function listDeliveries(
  q: Queryable,
  org: string,
  webhook: string,
  state: Delivery["state"] | undefined,
  limit: number,
  offset: number,
): Promise<{ deliveries: DeliveryRow[]; total: number }> {
  const where = "org = $1 AND webhook = $2 AND ($3::text IS NULL OR state = $3)";
  const values = [org, webhook, state ?? null];
  const [page, count] = await Promise.all([
    q.query<DeliveryRow>(`SELECT * FROM deliveries WHERE ${where} ORDER BY created_at DESC, id LIMIT $4 OFFSET $5`, [
      ...values,
      limit,
      offset,
    ]),
    q.query<{ total: number }>(`SELECT count(*)::int AS total FROM deliveries WHERE ${where}`, values),
  ]);
  return { deliveries: page.rows, total: count.rows[0]?.total ?? 0 };
}

/** Delivered ones go after a day, dead ones after 30. */
export async function forgetDeliveries(q: Queryable): Promise<void> {
  await q.query(
    "DELETE FROM deliveries WHERE ended_at < now() - CASE state WHEN 'dead' THEN interval '30 days' ELSE interval '1 day' END",
  );
}
