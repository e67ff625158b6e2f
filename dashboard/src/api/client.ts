import { Mags, MagsError } from "@mags/sdk";
import { QueryCache, QueryClient } from "@tanstack/react-query";

/** The same client that programs use. The browser adds the session's cookie; no page ever holds a token. */
export const mags = new Mags({ apiUrl: window.location.origin });

const signedOut = (error: unknown) => error instanceof MagsError && error.statusCode === 401;

export const queryClient = new QueryClient({
  // Whichever call finds the session gone, the way is the same: sign in, then back.
  queryCache: new QueryCache({ onError: (error) => signedOut(error) && goToSignIn() }),
  defaultOptions: { queries: { staleTime: 1000, retry: false, refetchOnWindowFocus: true } },
});

export function goToSignIn(): void {
  const back = window.location.pathname + window.location.search;
  if (!back.startsWith("/sign-in")) window.location.assign(`/sign-in?back=${encodeURIComponent(back)}`);
}

/** A sentence for people, with the hint of the server where it gave one. */
export function explain(error: unknown): string {
  if (!(error instanceof MagsError)) return error instanceof Error ? error.message : String(error);
  return error.hint ? `${error.message}. ${error.hint}` : error.message;
}
