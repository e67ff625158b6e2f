import type { Webhook, WebhookMade } from "@mags/protocol";
import { useNavigate, useParams } from "react-router";
import { useWebhookAction, useWebhooks } from "../../api/webhooks.ts";
import { Button, ButtonLink } from "../../ui/Button.tsx";
import { Confirm } from "../../ui/Confirm.tsx";
import { when } from "../../ui/format.ts";
import { Empty, Failure } from "../../ui/Notice.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { Deliveries } from "./Deliveries.tsx";
import { WebhookSecret } from "./NewWebhook.tsx";
import { WebhookState } from "./WebhookState.tsx";

/** One webhook: whether it is told, what it was told, and what did not arrive. */
export function WebhookPage() {
  const { id = "" } = useParams();
  return (
    <Loaded query={useWebhooks()} what="the webhook">
      {({ webhooks }) => {
        const webhook = webhooks.find((known) => known.id === id);
        return webhook ? <Shown webhook={webhook} /> : <Gone />;
      }}
    </Loaded>
  );
}

function Gone() {
  return (
    <Empty title="There is no such webhook">
      <p>It may have been deleted.</p>
      <ButtonLink to="/webhooks">To the webhooks</ButtonLink>
    </Empty>
  );
}

function Shown({ webhook }: { webhook: Webhook }) {
  const { id, url, enabled } = webhook;
  const navigate = useNavigate();
  const action = useWebhookAction<unknown>();
  const rotate = useWebhookAction<WebhookMade>();
  const act = action.mutate;
  const busy = action.isPending || rotate.isPending;
  return (
    <Page
      title={url}
      badge={<WebhookState webhook={webhook} />}
      lead={webhook.description}
      actions={
        <>
          <Button disabled={busy || !enabled} onClick={() => act((all) => all.test(id))}>
            Send a test
          </Button>
          <Button disabled={busy} onClick={() => act((all) => all.update(id, { enabled: !enabled }))}>
            {enabled ? "Turn off" : "Turn on"}
          </Button>
          <Confirm sure="End the old one" disabled={busy} act={() => rotate.mutate((all) => all.rotate(id))}>
            New secret
          </Confirm>
          <Confirm
            sure="Delete for good"
            disabled={busy}
            act={() => act((all) => all.delete(id).then(() => navigate("/webhooks")))}
          >
            Delete
          </Confirm>
        </>
      }
    >
      <Failure error={action.error ?? rotate.error} />
      {rotate.data && <WebhookSecret made={rotate.data} />}
      {webhook.disabled_reason && (
        <p className="notice failure">
          Mags turned it off: {webhook.disabled_reason}. Mend the receiver, then turn it on.
        </p>
      )}
      <dl className="facts">
        <div>
          <dt>Told of</dt>
          <dd>{webhook.events.join(", ")}</dd>
        </div>
        <div>
          <dt>Made</dt>
          <dd>{when(webhook.created_at)}</dd>
        </div>
      </dl>
      <Deliveries id={id} />
    </Page>
  );
}
