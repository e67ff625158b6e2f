import type { Job } from "@mags/protocol";
import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "react-router";
import { mags } from "./client.ts";

export interface JobFilter {
  page: number;
  status: Job["status"] | undefined;
  name: string | undefined;
}

const PAGE_SIZE = 25;
const POLL_MS = 2000;
const METRICS_MS = 5000;

export const useJobs = (filter: JobFilter) =>
  useQuery({
    queryKey: ["jobs", filter],
    queryFn: ({ signal }) => mags.list({ ...filter, pageSize: PAGE_SIZE, signal }),
    refetchInterval: POLL_MS,
    placeholderData: keepPreviousData,
  });

/** So many that one who looks for a job by its name is likely to find it. */
export const useLatestJobs = () =>
  useQuery({ queryKey: ["latest-jobs"], queryFn: ({ signal }) => mags.list({ pageSize: 200, signal }) });

export const useJob = (id: string) =>
  useQuery({
    queryKey: ["job", id],
    queryFn: ({ signal }) => mags.status(id, { signal }),
    refetchInterval: ({ state }) => (state.data && isOver(state.data) ? false : POLL_MS / 2),
  });

export const usePool = () =>
  useQuery({ queryKey: ["pool"], queryFn: ({ signal }) => mags.poolStatus({ signal }), refetchInterval: POLL_MS });

export const useMetrics = (id: string, up: boolean) =>
  useQuery({
    queryKey: ["metrics", id],
    queryFn: ({ signal }) => mags.metrics(id, { signal }),
    refetchInterval: METRICS_MS,
    enabled: up,
  });

/** Opens a port of the job's machine to visitors. */
export function useOpenUrl(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ port, access }: { port: number; access: "public" | "token" }) =>
      mags.access.url(id, port, { access }),
    onSuccess: () => client.invalidateQueries({ queryKey: ["job", id] }),
  });
}

export const useSshKey = (id: string) => useMutation({ mutationFn: () => mags.access.ssh(id) });

export function useRerun() {
  const navigate = useNavigate();
  return useMutation({
    mutationFn: (id: string) => mags.rerun(id),
    onSuccess: ({ requestId }) => navigate(`/jobs/${requestId}`),
  });
}

export function useStop() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => mags.stop(id),
    onSettled: () => client.invalidateQueries(),
  });
}

/** Puts a machine away or wakes it. */
export function usePower() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, verb }: { id: string; verb: "sleep" | "wake" }) => mags[verb](id),
    onSettled: () => client.invalidateQueries(),
  });
}

export function useRun() {
  const navigate = useNavigate();
  return useMutation({
    mutationFn: ({ script, ...options }: { script: string } & Parameters<typeof mags.run>[1]) =>
      mags.run(script, options),
    onSuccess: ({ requestId }) => navigate(`/jobs/${requestId}`),
  });
}

export const isOver = (job: Job): boolean => ["completed", "error", "stopped"].includes(job.status);
