import type { FormEvent } from "react";
import { useSecretAction, useSecrets } from "../../api/operate.ts";
import { Button } from "../../ui/Button.tsx";
import { Confirm } from "../../ui/Confirm.tsx";
import { Input } from "../../ui/Field.tsx";
import { ago } from "../../ui/format.ts";
import { Empty, Failure } from "../../ui/Notice.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { Table } from "../../ui/Table.tsx";

/** Values that jobs are given by name; none is ever shown again. */
export function SecretsPage() {
  const secrets = useSecrets();
  const action = useSecretAction();
  return (
    <Page
      title="Secrets"
      lead="Values that jobs get as variables. They are encrypted, masked in logs, and never shown again; setting one anew makes a new version."
    >
      <NewSecret />
      <Failure error={action.error} />
      <Loaded query={secrets} what="secrets">
        {({ secrets: rows }) =>
          rows.length === 0 ? (
            <Empty title="There is no secret yet">
              <p>Set one above, and name it in a job:</p>
              <pre>{`{"script": "…", "secrets": {"DB_PASSWORD": "db-password"}}`}</pre>
            </Empty>
          ) : (
            <Table
              label="Secrets"
              columns={["Name", "Version", "Set", "By", ""]}
              rows={rows}
              keyOf={({ name }) => name}
              cells={(secret) => [
                <strong key="name">{secret.name}</strong>,
                secret.version,
                ago(secret.updated_at),
                secret.updated_by,
                <Confirm
                  key="delete"
                  label={`Delete ${secret.name}`}
                  sure="Delete all versions"
                  act={() => action.mutate((all) => all.delete(secret.name))}
                >
                  Delete
                </Confirm>,
              ]}
            />
          )
        }
      </Loaded>
    </Page>
  );
}

function NewSecret() {
  const action = useSecretAction();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const data = new FormData(form);
    action.mutate((all) => all.set(String(data.get("name")).trim(), String(data.get("value"))), {
      onSuccess: () => form.reset(),
    });
  };
  return (
    <>
      <form className="inline" onSubmit={submit} autoComplete="off">
        <Input label="Name" name="name" required maxLength={64} placeholder="db-password" spellCheck={false} />
        <Input label="Value" name="value" type="password" required autoComplete="new-password" />
        <Button type="submit" look="primary" disabled={action.isPending}>
          Set
        </Button>
      </form>
      <Failure error={action.error} />
    </>
  );
}
