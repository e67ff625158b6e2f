import { passwordLimits } from "@mags/protocol";
import { useMutation } from "@tanstack/react-query";
import type { FormEvent } from "react";
import { acceptInvite } from "../api/session.ts";
import { Button } from "../ui/Button.tsx";
import { Input } from "../ui/Field.tsx";
import { Failure } from "../ui/Notice.tsx";

/** Where the link of an invitation leads: whoever opens it chooses a password, and is in. */
export function InvitePage() {
  // After the #, where it is in no server's log and sent to nobody as a referrer.
  const invite = window.location.hash.slice(1) || (new URLSearchParams(window.location.search).get("token") ?? "");
  const accepting = useMutation({ mutationFn: acceptInvite, onSuccess: () => window.location.assign("/") });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const name = String(form.get("name") ?? "").trim();
    accepting.mutate({ invite, password: String(form.get("password")), ...(name ? { name } : {}) });
  };
  return (
    <main className="sign-in">
      <img src="/icon.svg" alt="" width="48" height="48" />
      <h1>Welcome to Mags</h1>
      <form onSubmit={submit}>
        <Input label="Your name" name="name" autoComplete="name" maxLength={128} />
        <Input
          label="Password"
          name="password"
          type="password"
          autoComplete="new-password"
          required
          minLength={passwordLimits.least}
          maxLength={passwordLimits.most}
          hint={`At least ${passwordLimits.least} characters.`}
        />
        <Failure error={invite ? accepting.error : new Error("The link is not whole: ask for a new one")} />
        <Button look="primary" type="submit" disabled={accepting.isPending || !invite}>
          {accepting.isPending ? "One moment…" : "Choose this password"}
        </Button>
      </form>
    </main>
  );
}
