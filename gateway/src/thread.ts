/** The gateway's thread: started by index.ts, it says that it is ready or why it is not, and ends when it is told to. */
import { parentPort, workerData } from "node:worker_threads";
import { createLogger } from "@mags/kit";
import { type EdgeOptions, startEdge } from "./edge.ts";

export type ThreadData = Omit<EdgeOptions, "logger"> & { logLevel: string };
/** What the thread says. */
export type Word = "ready" | { failed: string };

const { logLevel, ...options } = workerData as ThreadData;
const say = (word: Word) => parentPort?.postMessage(word);

try {
  const edge = await startEdge({ ...options, logger: createLogger(logLevel) });
  parentPort?.once("message", async () => {
    await edge.close();
    process.exit();
  });
  say("ready");
} catch (error) {
  say({ failed: (error as Error).message });
}
