import { setTimeout as delay } from "node:timers/promises";
import type { CommandEnd } from "../../sandbox/driver.ts";
import type { Guest } from "./guest.ts";

/** What the ids of commands begin with whose streams stay open after their end. */
export const LINGERS = "l";
/** How long one question for the end of a command may take, and how soon it is asked again, `ms`. */
const [WAIT_MS, AGAIN_MS] = [3600_000, 1000];

/** The end of such a command, as the machine knows it: the one of its connection comes with the last that it has left there. */
export function lingering(id: string, reach: () => Promise<Guest>, isRunning: () => boolean) {
  const ask = async (command: string, ms?: number): Promise<CommandEnd | undefined> => {
    const said = await reach()
      .then((guest) => guest.run(command, "", ms))
      .catch(() => "");
    return /^\d+\n?$/.test(said) ? { exitCode: Number(said) } : undefined;
  };
  return {
    /** Resolves when it has ended; never where `other` comes first, or the machine ends. */
    end: async (other: Promise<unknown>): Promise<CommandEnd> => {
      let over = false;
      const stop = () => {
        over = true;
      };
      other.then(stop, stop);
      for (; !over && isRunning(); await delay(AGAIN_MS)) {
        const end = await ask(`box wait ${id}`, WAIT_MS);
        if (end) return end;
      }
      return new Promise(() => undefined);
    },
    earlier: () => ask(`cat /run/exec/${id}.exit 2>/dev/null; true`),
  };
}
