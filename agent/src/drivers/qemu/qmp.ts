import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** A command that QEMU refused, or that it did not answer. */
export class QmpError extends Error {
  override readonly name = "QmpError";
}

/** How long QEMU may take for an answer, `ms`. */
const ANSWER_MS = 20_000;

interface Message {
  return?: unknown;
  error?: { desc: string };
}

/**
 * QEMU's monitor, by the protocol of docs/interop/qmp-spec.txt. QEMU talks to one client at a time, so each call is a
 * connection of its own (a millisecond): none is in the way of the next agent process.
 */
export class Qmp {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Throws QmpError when QEMU refuses, is gone, or says nothing for too long. */
  async execute<T = unknown>(command: string, args: object = {}, timeoutMs = ANSWER_MS): Promise<T> {
    const socket = connect(this.#path);
    socket.on("error", () => undefined);
    const { signal, abort } = deadline(timeoutMs);
    try {
      await once(socket, "connect", { signal });
      const answers = messages(socket, signal);
      await answers.next();
      await ask(socket, answers, "qmp_capabilities", {});
      return (await ask(socket, answers, command, args)) as T;
    } catch (error) {
      if (signal.aborted) throw new QmpError(`QEMU does not answer (${command})`, { cause: error });
      throw error;
    } finally {
      abort();
      socket.destroy();
    }
  }
}

/** An AbortSignal that gives up after a while; `abort` gives up now and leaves no timer. */
function deadline(ms: number) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ms);
  return {
    signal: controller.signal,
    abort: () => {
      clearTimeout(timer);
      controller.abort();
    },
  };
}

/** What QEMU says but its events, of which nobody here wants to know. Throws when the connection ends, or is given up. */
async function* messages(socket: Socket, signal: AbortSignal): AsyncGenerator<Message, never> {
  signal.addEventListener("abort", () => socket.destroy(), { once: true });
  socket.setEncoding("utf8");
  let begun = "";
  for await (const text of socket) {
    const lines = (begun + text).split("\n");
    begun = lines.pop() as string;
    for (const line of lines) {
      const message = JSON.parse(line) as Message & { event?: string };
      if (message.event === undefined) yield message;
    }
  }
  throw new QmpError("QEMU has closed its monitor");
}

async function ask(socket: Socket, answers: AsyncGenerator<Message, never>, command: string, args: object) {
  socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
  const { value } = await answers.next();
  if (value.error) throw new QmpError(value.error.desc);
  return value.return;
}
