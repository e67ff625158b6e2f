import { readFileSync } from "node:fs";
import { threadId } from "node:worker_threads";
import { serveCalls } from "../threads.ts";

const cell = new Int32Array(new SharedArrayBuffer(4));

export const calls = {
  where: () => threadId,
  wait: (ms: number) => {
    Atomics.wait(cell, 0, 0, ms);
    return threadId;
  },
  double: (bytes: Uint8Array) => ({ bytes: bytes.map((byte) => byte * 2), count: bytes.length }),
  read: (path: string) => readFileSync(path, "utf8"),
  die: () => process.exit(3),
};
serveCalls(calls);
