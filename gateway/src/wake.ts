import type { Logger } from "@mags/kit";
import { type ResolveDoor, ResolvedDoor, WAKE_LIMIT_MS } from "@mags/protocol";

/** What a visitor came with. */
export type Visit = { by: "host"; host: string } | { by: "ssh_key"; user: string; fingerprint: string };

/** A sandbox that is up, and what its visitors must show. */
export type Door = Extract<ResolvedDoor, { state: "ready" }>;

/** Why a visitor is not let in. `unknown`: nothing is there. `asleep`: it did not come up in time. `unavailable`: ask later. */
export class NoDoor extends Error {
  override readonly name = "NoDoor";
  readonly kind: "unknown" | "asleep" | "unavailable";

  constructor(kind: NoDoor["kind"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** How long an answer is used again, `ms`: a change of a guard or a stop is noticed after that. */
const FRESH_MS = 1000;
/** How long an old answer stands in while the server cannot be asked, `ms` */
const STALE_MS = 300_000;
const KNOWN_LIMIT = 10_000;
/** On top of the time that the server may hold a question, `ms` */
const ANSWER_MS = 5000;

interface Known {
  door: Door | NoDoor;
  at: number;
}

/**
 * The one place where it is asked where a visitor's sandbox is, and where he waits until it is up: HTTP and SSH both
 * come here. The server starts waking with the first question; many that ask for the same door share one.
 */
export class Wake {
  readonly #url: string;
  readonly #token: string;
  readonly #logger: Logger;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<Door>>();
  readonly #stop = new AbortController();

  constructor(options: { serverUrl: string; nodeToken: string; logger: Logger }) {
    this.#url = `${options.serverUrl}/gateway/v1/resolve`;
    this.#token = options.nodeToken;
    this.#logger = options.logger;
  }

  /** The visitor's sandbox, as soon as it is up. Throws NoDoor. */
  async open(visit: Visit): Promise<Door> {
    if (visit.by !== "host") return given(await this.#fetch({ ...visit, wait_ms: WAKE_LIMIT_MS }));
    const key = visit.host;
    const known = this.#known.get(key);
    if (known && Date.now() - known.at < FRESH_MS) return given(known.door);
    let asking = this.#asking.get(key);
    if (!asking) {
      asking = this.#ask(visit, key, known).finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    return asking;
  }

  /** What was known of a door turned out wrong: the next visitor asks anew. */
  forget(host: string): void {
    this.#known.delete(host);
  }

  /** Ends all questions. */
  close(): void {
    this.#stop.abort();
  }

  async #ask(visit: Extract<Visit, { by: "host" }>, key: string, known: Known | undefined): Promise<Door> {
    const fresh = await this.#fetch({ ...visit, wait_ms: WAKE_LIMIT_MS });
    const outage = fresh instanceof NoDoor && fresh.kind === "unavailable";
    const usable = known && !(known.door instanceof NoDoor) && Date.now() - known.at < STALE_MS;
    const door = outage && usable ? known.door : fresh;
    if (this.#known.size >= KNOWN_LIMIT) this.#known.clear();
    // Only what the server said is remembered, and not that it takes long: an old answer keeps its age.
    if (!outage && !(door instanceof NoDoor && door.kind === "asleep")) this.#known.set(key, { door, at: Date.now() });
    return given(door);
  }

  async #fetch(question: ResolveDoor): Promise<Door | NoDoor> {
    return this.#call(question).catch((cause: Error) => {
      this.#logger.warn({ err: cause.message }, "the server could not be asked where a sandbox is");
      return new NoDoor("unavailable", "the control plane does not answer at the moment", { cause });
    });
  }

  async #call(question: ResolveDoor): Promise<Door | NoDoor> {
    const response = await fetch(this.#url, {
      method: "POST",
      headers: { authorization: `Bearer ${this.#token}`, "content-type": "application/json" },
      body: JSON.stringify(question),
      signal: AbortSignal.any([this.#stop.signal, AbortSignal.timeout(question.wait_ms + ANSWER_MS)]),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`the server answered ${response.status}: ${text.slice(0, 300)}`);
    const answer = ResolvedDoor.parse(JSON.parse(text));
    if (answer.state === "ready") return answer;
    if (answer.state === "none") return new NoDoor("unknown", answer.reason);
    return new NoDoor("asleep", `${answer.reason}, and was not up after ${WAKE_LIMIT_MS / 1000} s`);
  }
}

function given(door: Door | NoDoor): Door {
  if (door instanceof NoDoor) throw door;
  return door;
}
