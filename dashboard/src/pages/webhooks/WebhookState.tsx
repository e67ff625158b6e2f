import type { Webhook } from "@mags/protocol";
import { ago } from "../../ui/format.ts";

/** Whether somebody is told, in a word and a colour. */
export function WebhookState({ webhook }: { webhook: Webhook }) {
  if (!webhook.enabled) return <span className="status quiet">Off</span>;
  if (webhook.failing_since) return <span className="status bad">Failing, first {ago(webhook.failing_since)}</span>;
  return <span className="status good">On</span>;
}
