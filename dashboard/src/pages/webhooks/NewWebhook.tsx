import { CreateWebhook, type WebhookEvent, type WebhookMade, webhookEvents } from "@mags/protocol";
import type { FormEvent } from "react";
import { useWebhookAction } from "../../api/webhooks.ts";
import { Button } from "../../ui/Button.tsx";
import { Copy } from "../../ui/Copy.tsx";
import { Input } from "../../ui/Field.tsx";
import { Failure } from "../../ui/Notice.tsx";

const USUAL: readonly WebhookEvent[] = CreateWebhook.shape.events.parse(undefined);

/** Tells one more server of jobs. */
export function NewWebhook() {
  const create = useWebhookAction<WebhookMade>();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const data = new FormData(form);
    const text = (name: string) => String(data.get(name) ?? "").trim();
    const events = data.getAll("event") as WebhookEvent[];
    const options = { events, ...(text("description") ? { description: text("description") } : {}) };
    create.mutate((all) => all.create(text("url"), options), { onSuccess: () => form.reset() });
  };
  return (
    <>
      <form className="panel" onSubmit={submit}>
        <div className="columns">
          <Input label="Address" name="url" type="url" required placeholder="https://example.com/hooks/mags" />
          <Input label="What it is for" name="description" maxLength={256} placeholder="nothing noted" />
        </div>
        <fieldset className="checks">
          <legend>Told of</legend>
          {webhookEvents.map((name) => (
            <label key={name}>
              <input type="checkbox" name="event" value={name} defaultChecked={USUAL.includes(name)} /> {name}
            </label>
          ))}
        </fieldset>
        <Failure error={create.error} />
        <Button type="submit" look="primary" disabled={create.isPending}>
          Add the webhook
        </Button>
      </form>
      {create.data && <WebhookSecret made={create.data} />}
    </>
  );
}

/** The key of the signatures, which is shown once. */
export function WebhookSecret({ made }: { made: WebhookMade }) {
  return (
    <div className="notice good" role="status">
      <p>
        The secret of <strong>{made.url}</strong> is shown this once. The receiver checks signatures with it:
      </p>
      <Copy value={made.secret} label="the secret" block />
    </div>
  );
}
