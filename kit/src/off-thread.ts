import { Worker } from "node:worker_threads";
import type { Answer, blocking } from "./off-thread-worker.ts";

type Calls = typeof blocking;

const MOST_THREADS = 4;

interface Call {
  name: string;
  args: unknown[];
  resolve: (result: never) => void;
  reject: (error: Error) => void;
}

/** Threads that wait for a call, and calls that wait for a thread. */
const idle: Worker[] = [];
const waiting: Call[] = [];
let threads = 0;

/**
 * Makes a system call that may block for long on a thread of its own kind: the event loop goes on, and the thread pool
 * of Node, where compression and files queue, neither delays it nor is held up. A few run at a time, the rest wait.
 */
export function offThread<N extends keyof Calls>(
  name: N,
  ...args: Parameters<Calls[N]>
): Promise<ReturnType<Calls[N]>> {
  return new Promise((resolve, reject) => {
    waiting.push({ name, args, resolve, reject });
    next();
  });
}

function next(): void {
  const thread = idle.pop() ?? (threads < MOST_THREADS && waiting.length > 0 ? start() : undefined);
  const call = thread && waiting.shift();
  if (!thread) return;
  if (!call) return void idle.push(thread);
  thread.ref();
  const settle = (answer: Answer) => {
    thread.off("error", fail);
    thread.unref();
    idle.push(thread);
    if ("result" in answer) call.resolve(answer.result as never);
    else call.reject(Object.assign(new Error(answer.error.message), answer.error));
    next();
  };
  const fail = (error: Error) => {
    thread.off("message", settle);
    threads--;
    call.reject(error);
    next();
  };
  thread.once("message", settle);
  thread.once("error", fail);
  thread.postMessage({ name: call.name, args: call.args });
}

function start(): Worker {
  threads++;
  return new Worker(new URL("./off-thread-worker.ts", import.meta.url), { execArgv: [] });
}
