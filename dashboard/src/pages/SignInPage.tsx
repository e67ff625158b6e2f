import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { signIn } from "../api/session.ts";
import { Button } from "../ui/Button.tsx";
import { Input } from "../ui/Field.tsx";
import { Failure } from "../ui/Notice.tsx";

export function SignInPage() {
  const [token, setToken] = useState("");
  const signing = useMutation({
    mutationFn: () => signIn(token.trim()),
    onSuccess: () => window.location.assign(wayBack()),
  });
  return (
    <main className="sign-in">
      <img src="/icon.svg" alt="" width="48" height="48" />
      <h1>Mags</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          signing.mutate();
        }}
      >
        <Input
          label="Token"
          type="password"
          autoComplete="current-password"
          required
          autoFocus
          value={token}
          onChange={(event) => setToken(event.target.value)}
          hint={
            <>
              The first one is on the server, in <code>/var/lib/mags/admin.token</code>.
            </>
          }
        />
        <Failure error={signing.error} />
        <Button look="primary" type="submit" disabled={signing.isPending || token.trim() === ""}>
          {signing.isPending ? "Signing in…" : "Sign in"}
        </Button>
      </form>
    </main>
  );
}

/** Only a path of this server: a link must not lead a fresh session elsewhere. */
function wayBack(): string {
  const back = new URLSearchParams(window.location.search).get("back") ?? "/";
  return /^\/(?![/\\])/.test(back) ? back : "/";
}
