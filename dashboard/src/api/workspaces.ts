import { useQuery } from "@tanstack/react-query";
import { mags } from "./client.ts";
import { useAction } from "./use-action.ts";

const POLL_MS = 3000;

export const useWorkspaces = () =>
  useQuery({
    queryKey: ["workspaces"],
    queryFn: ({ signal }) => mags.workspaces.list({ signal }),
    refetchInterval: POLL_MS,
  });

export const useWorkspace = (id: string) =>
  useQuery({
    queryKey: ["workspace", id],
    queryFn: ({ signal }) => mags.workspaces.get(id, { signal }),
    refetchInterval: POLL_MS,
  });

export const useVersions = (id: string) =>
  useQuery({
    queryKey: ["versions", id],
    queryFn: ({ signal }) => mags.workspaces.versions(id, { signal }),
    refetchInterval: POLL_MS,
  });

/** A directory; where no machine is up, one is started for the look. */
export const useDirectory = (id: string, path: string, version: number | undefined) =>
  useQuery({
    queryKey: ["directory", id, path, version],
    queryFn: ({ signal }) => mags.workspaces.listFiles(id, path, { version, signal }),
    staleTime: 30_000,
    refetchOnWindowFocus: false,
  });

export const useFile = (id: string, path: string | undefined, version: number | undefined) =>
  useQuery({
    queryKey: ["file", id, path, version],
    queryFn: ({ signal }) => mags.workspaces.readFile(id, path as string, { version, signal }),
    enabled: path !== undefined,
    staleTime: 30_000,
    refetchOnWindowFocus: false,
  });

export const useDiff = (id: string, version: number | undefined, from: string | undefined) =>
  useQuery({
    queryKey: ["diff", id, version, from],
    queryFn: ({ signal }) => mags.workspaces.diff(id, { version, from, signal }),
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
  });

/** Where the browser itself fetches a file. */
export function fileAddress(id: string, path: string, version: number | undefined): string {
  const query = new URLSearchParams({ path, ...(version === undefined ? {} : { version: String(version) }) });
  return `/api/v1/mags-workspaces/${encodeURIComponent(id)}/files?${query}`;
}

/** Does something with a workspace, then looks at everything anew. */
export const useWorkspaceAction = () =>
  useAction(
    async (work: (workspaces: typeof mags.workspaces) => Promise<unknown>) => void (await work(mags.workspaces)),
  );
