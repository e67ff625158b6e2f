import { useMutation, useQueryClient } from "@tanstack/react-query";

/** Does something that changes what the server has, then looks at everything anew. */
export function useAction<Input, Output>(work: (input: Input) => Promise<Output>) {
  const client = useQueryClient();
  return useMutation({ mutationFn: work, onSettled: () => client.invalidateQueries() });
}
