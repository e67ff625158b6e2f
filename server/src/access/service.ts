import type { AgentClient, RemoteSession } from "@mags/agent-client";
import { ApiError, type SessionOptions } from "@mags/protocol";
import type { Sleep } from "../jobs/sleep.ts";
import type { Nodes } from "../nodes/service.ts";

/** A live machine, and the agent through which it is reached. */
export interface Place {
  jobId: string;
  agent: AgentClient;
}

/** Ways into the machines of jobs. All throw ApiError: not_found, conflict when the job has ended, wake_timeout, unavailable. */
export class Access {
  readonly #sleep: Sleep;
  readonly #nodes: Nodes;

  constructor(sleep: Sleep, nodes: Nodes) {
    this.#sleep = sleep;
    this.#nodes = nodes;
  }

  /** The one way to a job's machine; waits for one that is about to start, and wakes one that sleeps. */
  async find(org: string, idOrName: string, signal: AbortSignal): Promise<Place> {
    const { id, node } = await this.#sleep.wake(org, idOrName, "somebody comes in", signal);
    if (node === null) throw new ApiError("unavailable", `job ${id} has no machine yet`);
    return { jobId: id, agent: await this.#nodes.agent(node) };
  }

  /** Starts a command in the job's machine. */
  async open({ jobId, agent }: Place, session: SessionOptions, signal: AbortSignal): Promise<RemoteSession> {
    return agent.open(jobId, session, signal).catch((error) => {
      throw ended(jobId, error);
    });
  }

  /** The connection of a session, for a caller who speaks its frames. */
  async connect({ jobId, agent }: Place, signal: AbortSignal) {
    return agent.session(jobId, signal).catch((error) => {
      throw ended(jobId, error);
    });
  }
}

/** A node that does not know the job any more has seen it end a moment ago. */
function ended(jobId: string, error: unknown): unknown {
  if (!(error instanceof ApiError) || error.code !== "not_found") return error;
  return new ApiError("conflict", `job ${jobId} has just ended`);
}
