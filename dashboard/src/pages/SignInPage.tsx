import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Refused, signIn, signInWays } from "../api/session.ts";
import { Button } from "../ui/Button.tsx";
import { Input } from "../ui/Field.tsx";
import { duration } from "../ui/format.ts";
import { keepWay } from "../ui/kept-way.ts";
import { Failure } from "../ui/Notice.tsx";
import { useMsLeft } from "../ui/use-ms-left.ts";

type Way = "token" | "password";

/** By a token, by e-mail and password, or at an OpenID provider where one is set up. */
export function SignInPage() {
  const [way, setWay] = useState<Way>("token");
  const ways = useQuery({ queryKey: ["sign-in-ways"], queryFn: signInWays, staleTime: Number.POSITIVE_INFINITY });
  const signing = useMutation({ mutationFn: signIn, onSuccess: () => window.location.assign(wayBack()) });
  const wait = useMsLeft(signing.error instanceof Refused ? signing.error.until : undefined);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "").trim();
    if (way === "token") return signing.mutate({ token: text("token") });
    const organisation = text("organisation");
    const credentials = { email: text("email"), password: String(form.get("password")) };
    signing.mutate({ ...credentials, ...(organisation ? { organisation } : {}) });
  };
  const oidc = ways.data?.oidc;
  const refused = new URLSearchParams(window.location.search).get("error");
  return (
    <main className="sign-in">
      <img src="/icon.svg" alt="" width="48" height="48" />
      <h1>Mags</h1>
      {oidc && (
        <a className="button primary block" href={oidc.start_url} onClick={() => keepWay(wayBack())}>
          Sign in with {oidc.label}
        </a>
      )}
      <form onSubmit={submit}>
        {way === "token" ? (
          <TokenField />
        ) : (
          <PasswordFields severalSeen={/several|organisation/.test(String(signing.error))} />
        )}
        <Failure error={signing.error ?? (refused && new Error(refused))} />
        <Button look="primary" type="submit" disabled={signing.isPending || wait > 0}>
          {wait > 0 ? `Wait ${duration(wait)}` : signing.isPending ? "Signing in…" : "Sign in"}
        </Button>
        {ways.data?.password && (
          <Button
            look="plain"
            onClick={() => {
              signing.reset();
              setWay(way === "token" ? "password" : "token");
            }}
          >
            {way === "token" ? "Use e-mail and password" : "Use a token"}
          </Button>
        )}
      </form>
    </main>
  );
}

function TokenField() {
  return (
    <Input
      label="Token"
      name="token"
      type="password"
      autoComplete="current-password"
      required
      autoFocus
      hint={
        <>
          The first one is on the server, in <code>/var/lib/mags/admin.token</code>.
        </>
      }
    />
  );
}

function PasswordFields({ severalSeen }: { severalSeen: boolean }) {
  return (
    <>
      <Input label="E-mail" name="email" type="email" autoComplete="username" required autoFocus />
      <Input
        label="Password"
        name="password"
        type="password"
        autoComplete="current-password"
        required
        hint="Lost? An admin of your organisation can make you a new link."
      />
      {severalSeen && <Input label="Organisation" name="organisation" autoComplete="organization" maxLength={63} />}
    </>
  );
}

/** Where one wanted to go; never to another site. */
function wayBack(): string {
  const back = new URLSearchParams(window.location.search).get("back") ?? "/";
  return /^\/(?![/\\])/.test(back) ? back : "/";
}
