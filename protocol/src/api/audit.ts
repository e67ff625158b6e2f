import { z } from "zod";

export const actorKinds = ["token", "member", "cron", "gateway", "server"] as const;

/** Who did something. */
export const Actor = z.object({
  kind: z.enum(actorKinds),
  name: z.string().describe("Name of the token or schedule, e-mail of the member, fingerprint of the SSH key"),
});
export type Actor = z.infer<typeof Actor>;

/** What `hash` is the SHA-256 of, as canonical JSON (keys sorted by code unit, no white space, as in RFC 8785). */
const sealed = {
  organisation: z.string(),
  seq: z.number().int().min(1).describe("1, 2, 3, … without a gap"),
  at: z.string(),
  actor: Actor,
  action: z.string().describe("operationId of the API call, or secret.read, ssh.login, session.signIn"),
  target: z.string().nullable().describe("What it was done to"),
  outcome: z.enum(["done", "refused", "failed"]).describe("refused: not allowed; failed: could not be done"),
  details: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]))
    .describe("Never scripts, commands, values of variables or secrets"),
  request_id: z.string().nullable(),
  address: z.string().nullable().describe("Where the request came from"),
  prev: z.string().describe("hash of the entry before; 64 zeros for the first"),
};

/** One entry of an organisation's audit log. */
export const AuditEntry = z.object({ ...sealed, hash: z.string() });
export type AuditEntry = z.infer<typeof AuditEntry>;

export const AuditQuery = z.object({
  before_seq: z.coerce.number().int().min(1).optional().describe("Only entries before this one"),
  limit: z.coerce.number().int().min(1).max(500).default(50),
  action: z.string().max(128).optional(),
  actor: z.string().max(256).optional().describe("Name of who did it"),
  target: z.string().max(256).optional(),
});

export const AuditList = z.object({
  entries: z.array(AuditEntry),
  head: z.object({ seq: z.number().int(), hash: z.string() }).nullable().describe("The newest entry of all"),
  next: z.number().int().nullable().describe("before_seq of the next page"),
});
export type AuditList = z.infer<typeof AuditList>;

export const AuditExportQuery = z.object({
  from_seq: z.coerce.number().int().min(1).default(1).describe("Only entries from this one on"),
});

/** JSON in one spelling: keys sorted, no white space. `value` must be what JSON can hold. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, inner]) => inner !== undefined);
  const text = fields
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => `${JSON.stringify(key)}:${canonicalJson(inner)}`);
  return `{${text.join(",")}}`;
}
