import { parentPort, Worker } from "node:worker_threads";

// biome-ignore lint/suspicious/noExplicitAny: what functions of any kind have in common
type Calls = Record<string, (...args: any[]) => unknown>;
type Answer = { result: unknown } | { error: { name: string; message: string; code?: string } };

interface Call {
  name: string;
  args: unknown[];
  resolve: (result: never) => void;
  reject: (error: Error) => void;
}

/**
 * Threads of one kind for work that takes long without waiting for anything in this process: the event loop goes on
 * meanwhile, and what queues in Node's own pool of threads neither delays it nor is held up by it. They are started when
 * there is work, at most `most` of them, and do not keep the process alive. `file` is a module that calls `serveCalls`.
 */
export class Threads<C extends Calls> {
  readonly #file: URL;
  readonly #most: number;
  readonly #idle: Worker[] = [];
  readonly #waiting: Call[] = [];
  #started = 0;

  constructor(file: URL, most: number) {
    this.#file = file;
    this.#most = most;
  }

  /** Calls a function of that module on a thread. Buffers among the arguments are moved there and are empty here then. */
  call<N extends keyof C & string>(name: N, ...args: Parameters<C[N]>): Promise<ReturnType<C[N]>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ name, args, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    if (this.#waiting.length === 0) return;
    const thread = this.#idle.pop() ?? (this.#started < this.#most ? this.#start() : undefined);
    const call = thread && this.#waiting.shift();
    if (!call) return;
    thread.ref();
    const settle = (answer: Answer) => {
      thread.off("exit", fail);
      thread.unref();
      this.#idle.push(thread);
      if ("result" in answer) call.resolve(answer.result as never);
      else call.reject(Object.assign(new Error(answer.error.message), answer.error));
      this.#next();
    };
    const fail = (code: number) => call.reject(new Error(`the thread of ${call.name} has ended with ${code}`));
    thread.once("message", settle);
    thread.once("exit", fail);
    thread.postMessage({ name: call.name, args: call.args }, movable(call.args));
  }

  #start(): Worker {
    this.#started++;
    const thread = new Worker(this.#file, { execArgv: [] });
    // Followed by its exit.
    thread.on("error", () => undefined);
    thread.once("exit", () => {
      this.#started--;
      const at = this.#idle.indexOf(thread);
      if (at >= 0) this.#idle.splice(at, 1);
      this.#next();
    });
    return thread;
  }
}

/** The other side of `Threads`, one call at a time: to be called once in the thread's module. */
export function serveCalls(calls: Calls): void {
  parentPort?.on("message", ({ name, args }: { name: string; args: unknown[] }) => {
    let answer: Answer;
    try {
      answer = { result: calls[name]?.(...args) };
    } catch (thrown) {
      const { name, message, code } = thrown as NodeJS.ErrnoException;
      answer = { error: { name, message, code } };
    }
    parentPort?.postMessage(answer, "result" in answer ? movable(Object.values(answer.result ?? {})) : []);
  });
}

/** Memory of buffers that need not be copied; small ones of Node share theirs. */
function movable(values: unknown[]): ArrayBuffer[] {
  return values.flatMap((value) =>
    value instanceof Uint8Array && value.buffer instanceof ArrayBuffer && value.buffer.byteLength > Buffer.poolSize
      ? [value.buffer]
      : [],
  );
}
