import type { Webhook } from "@mags/protocol";
import { Link } from "react-router";
import { useWebhooks } from "../../api/webhooks.ts";
import { ago } from "../../ui/format.ts";
import { Empty } from "../../ui/Notice.tsx";
import { Loaded, Page } from "../../ui/Page.tsx";
import { Table } from "../../ui/Table.tsx";
import { NewWebhook } from "./NewWebhook.tsx";
import { WebhookState } from "./WebhookState.tsx";

/** Who is told of jobs. */
export function WebhooksPage() {
  return (
    <Page
      title="Webhooks"
      lead="Mags calls these addresses when something becomes of a job. Each call is signed, and tried again for a day and a half."
    >
      <NewWebhook />
      <Loaded query={useWebhooks()} what="webhooks">
        {({ webhooks }) => (webhooks.length === 0 ? <NoWebhooks /> : <Webhooks webhooks={webhooks} />)}
      </Loaded>
    </Page>
  );
}

function Webhooks({ webhooks }: { webhooks: Webhook[] }) {
  return (
    <Table
      label="Webhooks"
      columns={["Address", "State", "Told of", "Made"]}
      rows={webhooks}
      keyOf={({ id }) => id}
      cells={(webhook) => [
        <span key="url">
          <Link to={`/webhooks/${webhook.id}`}>{webhook.url}</Link>
          {webhook.description && <small className="below">{webhook.description}</small>}
        </span>,
        <WebhookState key="state" webhook={webhook} />,
        webhook.events.map((event) => event.replace("job.", "")).join(", "),
        ago(webhook.created_at),
      ]}
    />
  );
}

function NoWebhooks() {
  return (
    <Empty title="Nobody is told yet">
      <p>A receiver is a server of yours that takes a POST such as this, and answers with any status of 200:</p>
      <pre>{'{"type": "job.completed", "timestamp": "…", "data": {"request_id": "…", "exit_code": 0}}'}</pre>
    </Empty>
  );
}
