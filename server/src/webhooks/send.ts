import { createHmac } from "node:crypto";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import type { Addresses } from "./addresses.ts";

/** From the first byte out to the answer's head, `ms`. */
const PATIENCE_MS = 10_000;

export interface Sent {
  statusCode: number | null;
  /** null where it was taken */
  error: string | null;
}

/**
 * Delivers one event, signed as Standard Webhooks says: HMAC-SHA256 of id, time and body. Only the head of the answer counts;
 * redirects are not followed, because they would lead around the check of addresses. Never throws.
 */
export async function send(
  { id, url, body, secret }: { id: string; url: string; body: string; secret: Buffer },
  addresses: Addresses,
): Promise<Sent> {
  const target = new URL(url);
  const host = target.hostname.replace(/^\[|\]$/g, "");
  // A literal address is never looked up.
  if (isIP(host) !== 0 && !addresses.permits(host))
    return { statusCode: null, error: `${host} is a private address and may not be called (see MAGS_WEBHOOK_ALLOW)` };
  const time = Math.floor(Date.now() / 1000);
  const signature = createHmac("sha256", secret).update(`${id}.${time}.${body}`).digest("base64");
  const headers = {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "user-agent": "mags-webhooks/1",
    "webhook-id": id,
    "webhook-timestamp": String(time),
    "webhook-signature": `v1,${signature}`,
  };
  const ask = target.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const failed = (error: Error) => resolve({ statusCode: null, error: error.message });
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const request = ask(
      target,
      { method: "POST", headers, lookup: addresses.lookup, agent: false, signal },
      (response) => {
        const statusCode = response.statusCode ?? 0;
        const taken = statusCode >= 200 && statusCode < 300;
        resolve({ statusCode, error: taken ? null : `the receiver answered ${statusCode}` });
        response.destroy();
      },
    );
    request.on("error", (error) =>
      failed(signal.aborted ? new Error(`no answer within ${PATIENCE_MS / 1000} s`) : error),
    );
    request.end(body);
  });
}
