import { allows, type Token, type TokenScope } from "@mags/protocol";
import type { FormEvent } from "react";
import { useCreateToken, useRevokeToken, useTokens, useWhoami } from "../../api/operate.ts";
import { Button } from "../../ui/Button.tsx";
import { Confirm } from "../../ui/Confirm.tsx";
import { Copy } from "../../ui/Copy.tsx";
import { Field, Input } from "../../ui/Field.tsx";
import { ago } from "../../ui/format.ts";
import { Failure } from "../../ui/Notice.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { Table } from "../../ui/Table.tsx";

const SCOPES: readonly (readonly [TokenScope, string])[] = [
  ["read", "Read: see jobs, logs and workspaces"],
  ["run", "Run: and change them, come into machines"],
  ["admin", "Admin: and manage the organisation"],
];

/** Keys for programs and people; each can be taken back alone. */
export function TokensPage() {
  const tokens = useTokens();
  return (
    <Page title="Tokens" lead="A token lets a program, or you on another machine, act for this organisation.">
      <NewToken />
      <Loaded query={tokens} what="tokens">
        {({ tokens: rows }) => <Tokens tokens={rows} />}
      </Loaded>
    </Page>
  );
}

function NewToken() {
  const create = useCreateToken();
  const mine = useWhoami().data?.scopes ?? [];
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const text = (name: string) => String(new FormData(form).get(name) ?? "").trim();
    const days = text("days");
    create.mutate(
      {
        name: text("name"),
        scopes: [text("scope") as TokenScope],
        ...(days === "" ? {} : { expiresInDays: Number(days) }),
      },
      { onSuccess: () => form.reset() },
    );
  };
  return (
    <>
      <form className="inline" onSubmit={submit}>
        <Input label="Name" name="name" required maxLength={128} placeholder="ci" />
        <Field label="May">
          {(id) => (
            <select id={id} name="scope" defaultValue="run">
              {SCOPES.filter(([scope]) => allows(mine, scope)).map(([scope, text]) => (
                <option key={scope} value={scope}>
                  {text}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label="Valid for">
          {(id) => (
            <select id={id} name="days" defaultValue="90">
              <option value="1">a day</option>
              <option value="30">30 days</option>
              <option value="90">90 days</option>
              <option value="365">a year</option>
              <option value="">ever</option>
            </select>
          )}
        </Field>
        <Button type="submit" look="primary" disabled={create.isPending}>
          Make a token
        </Button>
      </form>
      <Failure error={create.error} />
      {create.data && (
        <div className="notice good" role="status">
          <p>
            The token <strong>{create.data.name}</strong> is shown this once. Keep it now:
          </p>
          <Copy value={create.data.token} label="the token" block />
        </div>
      )}
    </>
  );
}

function Tokens({ tokens }: { tokens: Token[] }) {
  const revoke = useRevokeToken();
  return (
    <>
      <Failure error={revoke.error} />
      <Table
        label="Tokens"
        columns={["Name", "May", "Used", "Made", "Expires", ""]}
        rows={tokens}
        keyOf={({ id }) => id}
        cells={(token) => [
          <strong key="name">{token.name}</strong>,
          token.scopes.join(", "),
          token.last_used_at ? ago(token.last_used_at) : "never",
          token.created_by ? `${ago(token.created_at)} by ${token.created_by}` : ago(token.created_at),
          token.expires_at ? ago(token.expires_at) : "never",
          <Confirm
            key="revoke"
            label={`Revoke ${token.name}`}
            sure="Revoke it now"
            disabled={revoke.isPending}
            act={() => revoke.mutate(token.id)}
          >
            Revoke
          </Confirm>,
        ]}
      />
    </>
  );
}
