import { useMutation, useQuery } from "@tanstack/react-query";
import { useSearchParams } from "react-router";
import { mags } from "../api/client.ts";
import { Button } from "../ui/Button.tsx";
import { Failure, Loading } from "../ui/Notice.tsx";

const SCOPES = {
  read: "look at everything",
  run: "look at everything and run things",
  admin: "do everything",
} as const;

/** Where `mags login` sends people: they see which program asks for what, and let it in or do not. */
export function ApprovePage() {
  const [asked] = useSearchParams();
  const challenge = asked.get("challenge") ?? "";
  const name = asked.get("name") ?? "";
  const scope = scopeOf(asked.get("scope"));
  const me = useQuery({ queryKey: ["whoami"], queryFn: ({ signal }) => mags.tokens.whoami({ signal }) });
  const approving = useMutation({
    mutationFn: () => mags.tokens.approveLogin({ challenge, name, scope }),
    onSuccess: ({ code }) => goBack(asked, { code }),
  });
  const refused = useMutation({ mutationFn: async () => goBack(asked, { error: "refused" }) });
  return (
    <main className="sign-in">
      <img src="/icon.svg" alt="" width="48" height="48" />
      <h1>Let a program in?</h1>
      <form onSubmit={(event) => event.preventDefault()}>
        {me.data ? (
          <p>
            <strong>{name}</strong> asks to act as {me.data.token} of {me.data.organisation}: it could {SCOPES[scope]}.
            Approve only what you have just started yourself.
          </p>
        ) : (
          <Loading what="who you are" />
        )}
        <Failure error={me.error ?? approving.error} />
        {approving.data ? (
          <div role="status">
            <p>Approved. You may close this page. Where the program did not notice, give it this code:</p>
            <pre>{approving.data.code}</pre>
          </div>
        ) : refused.isSuccess ? (
          <p role="status">Refused. You may close this page.</p>
        ) : (
          <>
            <Button look="primary" disabled={!me.data || approving.isPending} onClick={() => approving.mutate()}>
              Approve
            </Button>
            <Button onClick={() => refused.mutate()}>Refuse</Button>
          </>
        )}
      </form>
    </main>
  );
}

const scopeOf = (text: string | null): keyof typeof SCOPES => (text === "read" || text === "admin" ? text : "run");

/** Tells the program, where it listens on this machine; `state` is its sign that it asked. Anywhere else nothing is sent. */
function goBack(asked: URLSearchParams, answer: Record<string, string>): void {
  const port = Number(asked.get("port"));
  if (!Number.isInteger(port) || port < 1024 || port > 65_535) return;
  const query = new URLSearchParams({ ...answer, state: asked.get("state") ?? "" });
  // A frame would need a policy that allows it; a page of its own says whether it arrived.
  window.open(`http://127.0.0.1:${port}/?${query}`, "_blank", "noopener");
}
