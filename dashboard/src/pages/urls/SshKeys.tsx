import type { FormEvent } from "react";
import { useAccessAction, useSshKeys } from "../../api/operate.ts";
import { Button } from "../../ui/Button.tsx";
import { Confirm } from "../../ui/Confirm.tsx";
import { Input } from "../../ui/Field.tsx";
import { ago } from "../../ui/format.ts";
import { Failure } from "../../ui/Notice.tsx";
import { Loaded } from "../../ui/Page.tsx";
import { Table } from "../../ui/Table.tsx";

/** Public keys of people, good for every live machine. */
export function SshKeys() {
  const action = useAccessAction();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const key = String(new FormData(form).get("key")).trim();
    action.mutate((all) => all.addSshKey(key), { onSuccess: () => form.reset() });
  };
  return (
    <section aria-labelledby="ssh-keys">
      <h2 id="ssh-keys">SSH keys</h2>
      <p className="hint">Your own public key opens every live machine; the user name says which.</p>
      <form className="inline wide" onSubmit={submit}>
        <Input label="Public key" name="key" required placeholder="ssh-ed25519 AAAA… you@laptop" spellCheck={false} />
        <Button type="submit" disabled={action.isPending}>
          Add
        </Button>
      </form>
      <Failure error={action.error} />
      <Loaded query={useSshKeys()} what="keys">
        {({ keys }) =>
          keys.length > 0 && (
            <Table
              label="SSH keys"
              columns={["Name", "Fingerprint", "Added", ""]}
              rows={keys}
              keyOf={({ id }) => id}
              cells={(key) => [
                key.name,
                <code key="fingerprint">{key.fingerprint}</code>,
                ago(key.created_at),
                <Confirm
                  key="delete"
                  label={`Remove ${key.name}`}
                  sure="Remove the key"
                  act={() => action.mutate((all) => all.deleteSshKey(key.id))}
                >
                  Remove
                </Confirm>,
              ]}
            />
          )
        }
      </Loaded>
    </section>
  );
}
