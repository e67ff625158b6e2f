import type { Session } from "@mags/protocol";

/** Ways to sign in beside a token. */
export interface SignInWays {
  password: boolean;
  oidc: { label: string; start_url: string } | null;
}

/** A refusal, and from when on it is worth to try again, `ms` since the epoch. */
export class Refused extends Error {
  readonly until: number | undefined;

  constructor(message: string, until: number | undefined) {
    super(message);
    this.until = until;
  }
}

type Credentials = { token: string } | { email: string; password: string; organisation?: string };

/** Signing in and out: the server turns what it is given into a cookie that scripts of the page cannot read. */
export const signIn = (credentials: Credentials): Promise<Session> => call("POST", "/session", credentials);

export const signOut = (): Promise<unknown> => call("DELETE", "/session");

export const signInWays = (): Promise<SignInWays> => call("GET", "/session/options");

/** Chooses a password, and signs in. */
export const acceptInvite = (accepted: { invite: string; password: string; name?: string }): Promise<Session> =>
  call("POST", "/session/invite", accepted);

async function call<Answer>(method: string, path: string, body?: object): Promise<Answer> {
  const response = await fetch(`/api/v1${path}`, {
    method,
    headers: body ? { "content-type": "application/json" } : {},
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const answer = await response.json().catch(() => undefined);
  if (response.ok) return answer as Answer;
  const wait = Number(response.headers.get("retry-after"));
  const message = answer?.message ?? `the server answered with status ${response.status}`;
  throw new Refused(message, wait > 0 ? Date.now() + wait * 1000 : undefined);
}
