import {
  CreateWebhook,
  Delivery,
  DeliveryList,
  ErrorBody,
  ListDeliveriesQuery,
  UpdateWebhook,
  Webhook,
  WebhookDeleted,
  WebhookList,
  WebhookMade,
} from "@mags/protocol";
import { z } from "zod";
import { orgOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";
import { refuseUnstorableText } from "../http/validation.ts";

const tags = ["webhooks"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };
const admin = { config: { scope: "admin" as const } };
const Params = z.object({ id: z.uuid().describe("Id of a webhook") });
const DeliveryParams = Params.extend({ delivery: z.string().max(64).describe("Id of a delivery") });

// Secrets are shown once: an answer that is lost is not stored for a repeat, so these take no Idempotency-Key.
export function webhookRoutes(context: Context) {
  return async (app: App): Promise<void> => {
    app.addHook("preValidation", async (request) => refuseUnstorableText(request.body));
    making(app, context);
    changing(app, context);
    delivering(app, context);
  };
}

function making(app: App, { webhooks }: Context): void {
  app.post(
    "/webhooks",
    {
      ...admin,
      schema: {
        tags,
        operationId: "createWebhook",
        summary: "Add a webhook",
        description:
          "A URL that is told of jobs, with signatures as in Standard Webhooks. The answer holds their key, this once.",
        body: CreateWebhook,
        response: { 201: WebhookMade, ...failures },
      },
    },
    async (request, reply) => reply.status(201).send(await webhooks.create(orgOf(request), request.body)),
  );
  app.get(
    "/webhooks",
    {
      ...admin,
      schema: {
        tags,
        operationId: "listWebhooks",
        summary: "List webhooks",
        description: "Oldest first.",
        response: { 200: WebhookList, ...failures },
      },
    },
    (request) => webhooks.list(orgOf(request)),
  );
}

function changing(app: App, { webhooks }: Context): void {
  app.patch(
    "/webhooks/:id",
    {
      ...admin,
      schema: {
        tags,
        operationId: "updateWebhook",
        summary: "Change a webhook",
        description: "Switching one on again forgets its failures; what is dead stays so until it is replayed.",
        params: Params,
        body: UpdateWebhook,
        response: { 200: Webhook, ...failures },
      },
    },
    (request) => webhooks.update(orgOf(request), request.params.id, request.body),
  );
  app.delete(
    "/webhooks/:id",
    {
      ...admin,
      schema: {
        tags,
        operationId: "deleteWebhook",
        summary: "Delete a webhook",
        description: "With its deliveries.",
        params: Params,
        response: { 200: WebhookDeleted, ...failures },
      },
    },
    async (request) => {
      await webhooks.remove(orgOf(request), request.params.id);
      return { id: request.params.id, deleted: true as const };
    },
  );
  app.post(
    "/webhooks/:id/rotate",
    {
      ...admin,
      schema: {
        tags,
        operationId: "rotateWebhook",
        summary: "Make a new key for signatures",
        description: "The one before ends at once.",
        params: Params,
        response: { 200: WebhookMade, ...failures },
      },
    },
    (request) => webhooks.rotate(orgOf(request), request.params.id),
  );
}

function delivering(app: App, { webhooks }: Context): void {
  app.post(
    "/webhooks/:id/test",
    {
      ...admin,
      schema: {
        tags,
        operationId: "testWebhook",
        summary: "Send a test",
        description: "An event of the type test.",
        params: Params,
        response: { 202: Delivery, ...failures },
      },
    },
    async (request, reply) => reply.status(202).send(await webhooks.test(orgOf(request), request.params.id)),
  );
  app.get(
    "/webhooks/:id/deliveries",
    {
      ...admin,
      schema: {
        tags,
        operationId: "listDeliveries",
        summary: "List deliveries",
        description: "Newest first. Those that were delivered are kept for a day, dead ones for 30.",
        params: Params,
        querystring: ListDeliveriesQuery,
        response: { 200: DeliveryList, ...failures },
      },
    },
    (request) => {
      const { state, page, page_size } = request.query;
      return webhooks.deliveries(orgOf(request), request.params.id, state, page, page_size);
    },
  );
  app.post(
    "/webhooks/:id/deliveries/:delivery/replay",
    {
      ...admin,
      schema: {
        tags,
        operationId: "replayDelivery",
        summary: "Deliver again",
        description: "With the same id and body, from the first try on.",
        params: DeliveryParams,
        response: { 202: Delivery, ...failures },
      },
    },
    async (request, reply) => {
      const { id, delivery } = request.params;
      return reply.status(202).send(await webhooks.replay(orgOf(request), id, delivery));
    },
  );
}
