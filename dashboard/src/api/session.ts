/** Signing in and out: the server turns a token into a cookie that scripts of the page cannot read. */
export async function signIn(token: string): Promise<void> {
  await call("POST", { token });
}

export async function signOut(): Promise<void> {
  await call("DELETE");
}

async function call(method: string, body?: object): Promise<void> {
  const response = await fetch("/api/v1/session", {
    method,
    headers: body ? { "content-type": "application/json" } : {},
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  if (response.ok) return;
  const answer = (await response.json().catch(() => undefined)) as { message?: string } | undefined;
  throw new Error(answer?.message ?? `the server answered with status ${response.status}`);
}
