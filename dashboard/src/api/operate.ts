import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { mags } from "./client.ts";
import { useAction } from "./use-action.ts";

const POLL_MS = 5000;

/** Whom the server takes this browser for, and what it may do. */
export const useWhoami = () =>
  useQuery({ queryKey: ["whoami"], queryFn: ({ signal }) => mags.tokens.whoami({ signal }), staleTime: 60_000 });

export const useCrons = () =>
  useQuery({ queryKey: ["crons"], queryFn: ({ signal }) => mags.cron.list({ signal }), refetchInterval: POLL_MS });

export const useCron = (id: string) =>
  useQuery({
    queryKey: ["cron", id],
    queryFn: ({ signal }) => mags.cron.get(id, { signal }),
    refetchInterval: POLL_MS,
  });

export const useCronRuns = (id: string) =>
  useQuery({
    queryKey: ["cron-runs", id],
    queryFn: ({ signal }) => mags.cron.runs(id, { pageSize: 50, signal }),
    refetchInterval: POLL_MS / 2,
  });

/** When a schedule would fire, while somebody is writing it. */
export const useCronPreview = (expression: string, zone: string) =>
  useQuery({
    queryKey: ["cron-preview", expression, zone],
    queryFn: ({ signal }) => mags.cron.preview(expression, zone, { signal }),
    enabled: expression.trim() !== "" && zone.trim() !== "",
    staleTime: 30_000,
  });

export const useCronAction = () => useAction((work: (cron: typeof mags.cron) => Promise<unknown>) => work(mags.cron));

export const useAliases = () =>
  useQuery({
    queryKey: ["aliases"],
    queryFn: ({ signal }) => mags.access.listAliases({ signal }),
    refetchInterval: POLL_MS,
  });

export const useSshKeys = () =>
  useQuery({ queryKey: ["ssh-keys"], queryFn: ({ signal }) => mags.access.listSshKeys({ signal }) });

/** Jobs whose machine has a URL. */
export const useJobsWithUrl = () =>
  useQuery({
    queryKey: ["jobs-with-url"],
    queryFn: async ({ signal }) => {
      const lists = (["running", "sleeping"] as const).map((status) => mags.list({ status, pageSize: 200, signal }));
      return (await Promise.all(lists)).flatMap(({ jobs }) => jobs).filter(({ url }) => url !== null);
    },
    refetchInterval: POLL_MS,
  });

export const useAccessAction = () =>
  useAction((work: (access: typeof mags.access) => Promise<unknown>) => work(mags.access));

export const useTokens = () =>
  useQuery({ queryKey: ["tokens"], queryFn: ({ signal }) => mags.tokens.list({ signal }) });

export const useCreateToken = () =>
  useAction(({ name, ...options }: { name: string } & Parameters<typeof mags.tokens.create>[1]) =>
    mags.tokens.create(name, options),
  );

export const useRevokeToken = () => useAction((id: string) => mags.tokens.revoke(id));

export const useNodes = (allowed: boolean) =>
  useQuery({
    queryKey: ["nodes"],
    queryFn: ({ signal }) => mags.nodes.list({ signal }),
    refetchInterval: POLL_MS / 2,
    enabled: allowed,
  });

export const useNodeAction = () =>
  useAction(({ name, verb }: { name: string; verb: "drain" | "undrain" }) => mags.nodes[verb](name));

export const useMembers = () =>
  useQuery({ queryKey: ["members"], queryFn: ({ signal }) => mags.members.list({ signal }) });

export const useMemberAction = () =>
  useAction((work: (members: typeof mags.members) => Promise<unknown>) => work(mags.members));

export const useAudit = (filter: Parameters<typeof mags.audit.list>[0]) =>
  useQuery({
    queryKey: ["audit", filter],
    queryFn: ({ signal }) => mags.audit.list({ ...filter, signal }),
    refetchInterval: POLL_MS,
    placeholderData: keepPreviousData,
  });

export const useSecrets = () =>
  useQuery({ queryKey: ["secrets"], queryFn: ({ signal }) => mags.secrets.list({ signal }) });

export const useSecretAction = () =>
  useAction((work: (secrets: typeof mags.secrets) => Promise<unknown>) => work(mags.secrets));
