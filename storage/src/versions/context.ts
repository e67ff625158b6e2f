import { setTimeout as delay } from "node:timers/promises";
import { ObjectError, type ObjectStore } from "../objects/index.ts";

/** What moving versions in and out of the object store needs. */
export interface VersionContext {
  objects: ObjectStore;
  /** whose objects these are */
  org: string;
  /** gives up; the call then throws ObjectError `aborted` and leaves nothing half */
  signal?: AbortSignal;
  /** called as chunks are done, `bytes` of the volume */
  onProgress?: (progress: { done: number; total: number }) => void;
  /** how often what may succeed later is tried; 5 by default. The S3 store tries each time several times by itself */
  attempts?: number;
}

const FIRST_DELAY_MS = 500;

/** Does `work` again, after ever longer pauses, as long as it fails with what may succeed later. */
export async function persistently<T>(ctx: VersionContext, work: () => Promise<T>): Promise<T> {
  const { attempts = 5, signal } = ctx;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ObjectError && error.retryable) || attempt >= attempts) throw error;
      const pause = FIRST_DELAY_MS * 2 ** (attempt - 1) * (0.5 + Math.random());
      await delay(pause, undefined, { signal }).catch(() => {
        throw new ObjectError("aborted", "the caller has given up", { cause: signal?.reason });
      });
    }
  }
}
