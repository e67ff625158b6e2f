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

export const useJobs = (filter: JobFilter) =>
  useQuery({
    queryKey: ["jobs", filter],
    queryFn: ({ signal }) => mags.list({ ...filter, pageSize: PAGE_SIZE, signal }),
    refetchInterval: POLL_MS,
    placeholderData: keepPreviousData,
  });

export const useJob = (id: string) =>
  useQuery({
    queryKey: ["job", id],
    queryFn: ({ signal }) => mags.status(id, { signal }),
    refetchInterval: ({ state }) => (state.data && isOver(state.data) ? false : POLL_MS / 2),
  });

export const usePool = () =>
  useQuery({ queryKey: ["pool"], queryFn: ({ signal }) => mags.poolStatus({ signal }), refetchInterval: POLL_MS });

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
