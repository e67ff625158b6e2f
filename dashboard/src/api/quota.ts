import { useQuery } from "@tanstack/react-query";
import { mags } from "./client.ts";
import { useAction } from "./use-action.ts";

const POLL_MS = 5000;

/** What an organisation may have and has; without a name the own one. */
export const useQuota = (organisation: string | undefined) =>
  useQuery({
    queryKey: ["quota", organisation],
    queryFn: ({ signal }) => mags.quotas.get(organisation, { signal }),
    refetchInterval: POLL_MS,
  });

export const useUpdateQuota = (organisation: string) =>
  useAction((limits: Parameters<typeof mags.quotas.update>[1]) => mags.quotas.update(organisation, limits));

export const useOrganisations = (allowed: boolean) =>
  useQuery({
    queryKey: ["organisations"],
    queryFn: ({ signal }) => mags.tokens.organisations({ signal }),
    enabled: allowed,
  });
