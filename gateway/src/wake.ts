import { setTimeout as delay } from "node:timers/promises";
import { type Logger, Upstream, type UpstreamOptions } from "@mags/kit";
import { ApiError, type ResolveDoor, ResolvedDoor, type SshLogin, WAKE_LIMIT_MS } from "@mags/protocol";

/** Where a visitor wants to: the sandbox of a host name, or the one that his key has led to. */
export type Visit = { by: "host"; host: string } | { by: "job"; job: string };

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
/** How long a sandbox that is not where it was said to be is looked for, and how often, `ms` */
const SEARCH_MS = 15_000;
const PAUSE_MS = 250;
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
  readonly #server: Upstream;
  readonly #logger: Logger;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<Door>>();
  readonly #stop = new AbortController();

  constructor(options: { server: UpstreamOptions; logger: Logger }) {
    this.#server = new Upstream(options.server);
    this.#logger = options.logger;
  }

  /** The visitor's sandbox, as soon as it is up. Throws NoDoor. */
  async open(visit: Visit): Promise<Door> {
    const key = keyOf(visit);
    const known = this.#known.get(key);
    if (known && performance.now() - known.at < FRESH_MS) return given(known.door);
    let asking = this.#asking.get(key);
    if (!asking) {
      asking = this.#ask(visit, key, known).finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    return asking;
  }

  /**
   * Goes into a job's sandbox. Where it turns out not to be there (it was put to sleep just now, or its node has been
   * restarted and has not taken it up yet) it is looked for again, for a while. Throws NoDoor, and what `go` throws.
   */
  async reach<T>(job: string, go: (door: Door) => Promise<T>): Promise<T> {
    const deadline = performance.now() + SEARCH_MS;
    // What was said a moment ago may just be out of date: asked again at once, the first time.
    for (let pause = 0; ; pause = PAUSE_MS) {
      try {
        return await go(await this.open({ by: "job", job }));
      } catch (error) {
        if (!isAway(error) || performance.now() + pause > deadline) throw error;
        this.#known.delete(job);
        await delay(pause, undefined, { signal: this.#stop.signal });
      }
    }
  }

  /** The job that a key opens, up or not, or undefined. Throws NoDoor when the server does not answer. */
  async jobOfKey(fingerprint: string, user: string): Promise<string | undefined> {
    const answer = await this.#fetch({ by: "ssh_key", fingerprint, user, wait_ms: 0 });
    if (answer instanceof NoDoor) throw answer;
    return answer.state === "none" ? undefined : answer.job;
  }

  /** Has a login written down. Throws NoDoor when the server does not answer: nobody comes in unseen. */
  async noteLogin(login: SshLogin): Promise<void> {
    const answer = await this.#post("login", login, ANSWER_MS);
    if (answer instanceof NoDoor) throw answer;
  }

  /** Ends all questions. */
  close(): void {
    this.#stop.abort();
  }

  async #ask(visit: Visit, key: string, known: Known | undefined): Promise<Door> {
    const fresh = toDoor(await this.#fetch({ ...visit, wait_ms: WAKE_LIMIT_MS }));
    const outage = fresh instanceof NoDoor && fresh.kind === "unavailable";
    const usable = known && !(known.door instanceof NoDoor) && performance.now() - known.at < STALE_MS;
    const door = outage && usable ? known.door : fresh;
    if (this.#known.size >= KNOWN_LIMIT) this.#known.clear();
    // Only what the server said is remembered, and not that it takes long: an old answer keeps its age.
    if (!outage && !(door instanceof NoDoor && door.kind === "asleep"))
      this.#known.set(key, { door, at: performance.now() });
    // Who was let in by a host name goes on by the job.
    if (!outage && !(door instanceof NoDoor)) this.#known.set(door.job, { door, at: performance.now() });
    return given(door);
  }

  async #fetch(question: ResolveDoor): Promise<ResolvedDoor | NoDoor> {
    const answer = await this.#post("resolve", question, question.wait_ms + ANSWER_MS);
    return answer instanceof NoDoor ? answer : ResolvedDoor.parse(answer);
  }

  async #post(path: string, body: object, ms: number): Promise<unknown> {
    try {
      const response = await this.#server.fetch(`/gateway/v1/${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.any([this.#stop.signal, AbortSignal.timeout(ms)]),
      });
      const text = await response.text();
      if (response.ok) return JSON.parse(text);
      throw new Error(`the server answered ${response.status}: ${text.slice(0, 300)}`);
    } catch (cause) {
      this.#logger.warn({ err: (cause as Error).message }, `the server could not be asked (${path})`);
      return new NoDoor("unavailable", "the control plane does not answer at the moment", { cause });
    }
  }
}

/** The agent cannot be reached, or does not have the sandbox. */
const isAway = (error: unknown) =>
  error instanceof ApiError && (error.code === "not_found" || error.code === "unavailable");

const keyOf = (visit: Visit) => (visit.by === "host" ? visit.host : visit.job);

function toDoor(answer: ResolvedDoor | NoDoor): Door | NoDoor {
  if (answer instanceof NoDoor || answer.state === "ready") return answer;
  if (answer.state === "none") return new NoDoor("unknown", answer.reason);
  return new NoDoor("asleep", `${answer.reason}, and was not up after ${WAKE_LIMIT_MS / 1000} s`);
}

function given(door: Door | NoDoor): Door {
  if (door instanceof NoDoor) throw door;
  return door;
}
