import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { mags } from "./client.ts";

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

/** Does something with a workspace, then looks at everything anew. */
export function useWorkspaceAction(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationKey: ["workspace", id],
    mutationFn: async (work: (workspaces: typeof mags.workspaces) => Promise<unknown>) => {
      await work(mags.workspaces);
    },
    onSettled: () => client.invalidateQueries(),
  });
}
