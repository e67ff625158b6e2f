import type { Delivery } from "@mags/protocol";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { mags } from "./client.ts";
import { useAction } from "./use-action.ts";

const POLL_MS = 3000;

export const useWebhooks = () =>
  useQuery({
    queryKey: ["webhooks"],
    queryFn: ({ signal }) => mags.webhooks.list({ signal }),
    refetchInterval: POLL_MS,
  });

export interface DeliveryFilter {
  state: Delivery["state"] | undefined;
  page: number;
}

export const useDeliveries = (id: string, { state, page }: DeliveryFilter) =>
  useQuery({
    queryKey: ["deliveries", id, state, page],
    queryFn: ({ signal }) => mags.webhooks.deliveries(id, { ...(state ? { state } : {}), page, signal }),
    refetchInterval: POLL_MS,
    placeholderData: keepPreviousData,
  });

/** Does something with webhooks, then looks at everything anew. */
export const useWebhookAction = <Output>() =>
  useAction((work: (webhooks: typeof mags.webhooks) => Promise<Output>) => work(mags.webhooks));
