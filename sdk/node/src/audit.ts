import { type CallSettings, callJson, callRaw, type HttpOptions } from "./http.ts";
import type { AuditEntry, AuditList } from "./wire.ts";

export interface AuditOptions extends CallSettings {
  /** only entries before this one */
  beforeSeq?: number | undefined;
  limit?: number | undefined;
  action?: string | undefined;
  /** name of who did it */
  actor?: string | undefined;
  target?: string | undefined;
}

/** Who did what. All calls throw MagsError. */
export class AuditClient {
  readonly #http: HttpOptions;

  constructor(http: HttpOptions) {
    this.#http = http;
  }

  /** Newest first. */
  list({ beforeSeq, limit = 50, action, actor, target, signal }: AuditOptions = {}): Promise<AuditList> {
    const query = new URLSearchParams({ limit: String(limit) });
    for (const [name, value] of Object.entries({ before_seq: beforeSeq, action, actor, target }))
      if (value !== undefined) query.set(name, String(value));
    return callJson(this.#http, "GET", `/audit?${query}`, { signal });
  }

  /** All entries from `fromSeq` on, oldest first. */
  async *export({ fromSeq = 1, signal }: { fromSeq?: number } & CallSettings = {}): AsyncGenerator<AuditEntry> {
    const response = await callRaw(this.#http, "GET", `/audit/export?from_seq=${fromSeq}`, { signal });
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) yield JSON.parse(line);
    }
  }
}
