import { test } from "vitest";

/** The part of the suite that a slow driver runs each time: each way in, each way out, and what must survive. */
const REPRESENTATIVE = new Set([
  "keeps stdout and stderr apart and the exit code",
  "a kept disk has what earlier sandboxes wrote to it, whoever owns it, and stays",
  "runs as the user that the image names, at that user's home, and hands what it places to that user",
  "another user may open the streams of a command by name",
  "another user may open the streams of a session by name, in a terminal too",
  "a session's program is the image's own, looked for in the given path, and has the given variables and no other",
  "a session ends by a signal, with all of its processes",
  "killCommand ends what a command has started, also in sessions of their own, and nothing else",
  "killCommand does nothing where the command has ended or was never begun",
  "holds the limits of disk, memory and CPU",
  "a sandbox and its command are found again by a new agent process",
  "reclaim removes what nobody keeps and spares what somebody does",
  "in a terminal a shell has its size, job control, and keys that send signals",
  "a port that is open on the sandbox's loopback only is reached, both ways and to the end of each",
]);

export type Define = (name: string, run: () => Promise<unknown>) => void;

/** vitest's `test`, for all or for the representative part. */
export const define =
  (all: boolean): Define =>
  (name, run) => {
    if (all || REPRESENTATIVE.has(name)) test(name, async () => void (await run()));
  };
