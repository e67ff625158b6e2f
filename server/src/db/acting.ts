import { AsyncLocalStorage } from "node:async_hooks";
import { Actor } from "@mags/protocol";
import type { Queryable } from "./queryable.ts";

/** On whose behalf something happens. */
export interface Acting {
  actor: Actor;
  requestId: string | null;
  address: string | null;
  /** the job that is meant, once it is known which one has the name in the request */
  job?: string;
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

/** Back again; rows from before that was kept name nobody. */
export function readActor(text: string | null): Actor {
  const [kind = "", ...name] = text?.split(" ") ?? [];
  const parsed = Actor.safeParse({ kind, name: name.join(" ") });
  return parsed.success ? parsed.data : SERVER.actor;
}
