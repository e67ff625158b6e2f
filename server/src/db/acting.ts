import { AsyncLocalStorage } from "node:async_hooks";
import type { Actor } from "@mags/protocol";
import type { Queryable } from "./queryable.ts";

/** On whose behalf something happens. */
export interface Acting {
  actor: Actor;
  requestId: string | null;
  address: string | null;
  /** the schedule whose time has come */
  cron?: string;
  /** called in each transaction before it commits */
  beforeCommit?: (tx: Queryable) => Promise<void>;
}

const SERVER: Acting = { actor: { kind: "server", name: "server" }, requestId: null, address: null };

/** Known wherever a request leads, so that no use case has to hand it on, and none can forget to. */
export const acting = new AsyncLocalStorage<Acting>();

export const whoActs = (): Acting => acting.getStore() ?? SERVER;

/** As a row keeps it: `token ci`, `member ann@example.org`. */
export const actorText = ({ kind, name }: Actor): string => `${kind} ${name}`;
