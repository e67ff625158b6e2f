import type { AttachSession, OpenSession } from "@mags/protocol";
import { type Sandbox, SessionRefused } from "../sandbox/driver.ts";
import { LiveSession } from "./live-session.ts";
import type { Sessions } from "./serve-session.ts";

/** Most sessions of a job that may be detached. */
const MAX_DETACHABLE = 64;

/** The sessions on this node that may be taken up again. */
export class HeldSessions {
  readonly #held = new Map<string, { jobId: string; live: LiveSession }>();

  /** What a connection to the job's sandbox may open and take up. */
  of(jobId: string, sandbox: Sandbox, environment: Record<string, string>): Sessions {
    return {
      open: async (request) => {
        if (request.detach) this.#refuseDetached(jobId, request);
        const { user, workdir } = sandbox.image.config;
        const session = await sandbox.open({
          ...request,
          user: request.user ?? user ?? undefined,
          cwd: request.cwd ?? workdir ?? undefined,
          env: { ...environment, ...request.env },
        });
        const live = new LiveSession(session, request);
        if (request.detach) this.#hold(jobId, live);
        return live;
      },
      attach: (request) => this.#find(jobId, request),
    };
  }

  hangUpAll(): void {
    for (const { live } of this.#held.values()) void live.hangUp();
  }

  #refuseDetached(jobId: string, request: OpenSession): void {
    if (!request.tty) throw new SessionRefused("only a session with a tty can be detached");
    const count = [...this.#held.values()].filter((held) => held.jobId === jobId).length;
    if (count >= MAX_DETACHABLE)
      throw new SessionRefused(`the sandbox has ${count} sessions that may be detached already`);
  }

  #hold(jobId: string, live: LiveSession): void {
    this.#held.set(live.id, { jobId, live });
    void live.gone.then(() => this.#held.delete(live.id));
  }

  #find(jobId: string, { session }: AttachSession): LiveSession {
    const held = this.#held.get(session);
    if (held?.jobId !== jobId) throw new SessionRefused(`there is no session ${session} here, or no longer`);
    return held.live;
  }
}
