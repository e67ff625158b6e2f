import { z } from "zod";

export const webhookEvents = [
  "job.started",
  "job.completed",
  "job.error",
  "job.stopped",
  "job.sleeping",
  "job.woken",
] as const;
export type WebhookEvent = (typeof webhookEvents)[number];

export const webhookLimits = { perOrganisation: 50 } as const;

const Url = z
  .url({ protocol: /^https?$/, error: "must be a URL that begins with https:// or http://" })
  .max(2048)
  .refine(
    (value) => !URL.canParse(value) || (!new URL(value).username && !new URL(value).password),
    "must not hold a password",
  );
const Events = z.array(z.enum(webhookEvents)).min(1, "must name an event");
const Description = z.string().max(256);

/** Body of `POST /webhooks`. */
export const CreateWebhook = z.object({
  url: Url,
  events: Events.default(["job.completed", "job.error", "job.stopped"]),
  description: Description.optional(),
});
export type CreateWebhook = z.infer<typeof CreateWebhook>;

/** Body of `PATCH /webhooks/:id`. */
export const UpdateWebhook = z
  .strictObject({
    url: Url.optional(),
    events: Events.optional(),
    description: Description.nullable().optional(),
    enabled: z.boolean().optional(),
  })
  .refine((change) => Object.keys(change).length > 0, "names nothing to change");
export type UpdateWebhook = z.infer<typeof UpdateWebhook>;

export const Webhook = z.object({
  id: z.uuid(),
  url: z.string(),
  events: z.array(z.enum(webhookEvents)),
  description: z.string().nullable(),
  enabled: z.boolean(),
  disabled_reason: z.string().nullable().describe("Why the server switched it off"),
  failing_since: z.string().nullable().describe("Since when nothing has been delivered"),
  created_at: z.string(),
});
export type Webhook = z.infer<typeof Webhook>;

export const WebhookMade = Webhook.extend({
  secret: z.string().describe("whsec_…, to check signatures with; it is shown this once"),
});
export type WebhookMade = z.infer<typeof WebhookMade>;

export const WebhookList = z.object({ webhooks: z.array(Webhook), total: z.number().int() });
export const WebhookDeleted = z.object({ id: z.uuid(), deleted: z.literal(true) });

export const deliveryStates = ["pending", "delivered", "dead"] as const;

export const Delivery = z.object({
  id: z.uuid().describe("The webhook-id header: the same at every try"),
  event: z.string(),
  request_id: z.uuid().nullable().describe("The job"),
  state: z.enum(deliveryStates).describe("dead: given up; it can be replayed"),
  attempts: z.number().int(),
  next_at: z.string().nullable(),
  status_code: z.number().int().nullable().describe("What the receiver answered last"),
  error: z.string().nullable(),
  created_at: z.string(),
  ended_at: z.string().nullable(),
});
export type Delivery = z.infer<typeof Delivery>;

export const ListDeliveriesQuery = z.object({
  state: z.enum(deliveryStates).optional(),
  page: z.coerce.number().int().min(1).default(1),
  page_size: z.coerce.number().int().min(1).max(200).default(20),
});

export const DeliveryList = z.object({
  deliveries: z.array(Delivery),
  total: z.number().int(),
  page: z.number().int(),
  page_size: z.number().int(),
});
export type DeliveryList = z.infer<typeof DeliveryList>;
