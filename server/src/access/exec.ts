import type { ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import type { RemoteSession } from "@mags/agent-client";
import { drained } from "@mags/kit";
import type { SessionOptions } from "@mags/protocol";
import {
  ApiError,
  type ExecExit,
  type ExecOutput,
  type ExecRequest,
  type ExecResult,
  execLimits,
} from "@mags/protocol";
import { encodeText, TextPieces } from "./text.ts";

type Source = "stdout" | "stderr";

const HEARTBEAT_MS = 10_000;

/** What is to be opened for a request. */
export function sessionOf(request: ExecRequest): SessionOptions {
  const { command, argv, env, cwd, timeout, user } = request;
  return { argv: argv ?? ["/bin/sh", "-c", command ?? ""], env, cwd, timeout, user };
}

/** The input of a request. Throws ApiError when it is not written as it says. */
export function inputOf({ stdin, stdin_encoding }: ExecRequest): Buffer {
  if (stdin_encoding === undefined) return Buffer.from(stdin);
  const bytes = Buffer.from(stdin, "base64");
  if (bytes.toString("base64").replace(/=+$/, "") !== stdin.replace(/=+$/, ""))
    throw new ApiError("invalid_request", "stdin is not valid base64", "stdin");
  return bytes;
}

/** Gives the command its input and answers with all of its output, as far as it is kept. Throws ApiError not_started. */
export async function collect(session: RemoteSession, input: Buffer): Promise<ExecResult> {
  const kept = { stdout: new Kept(), stderr: new Kept() };
  const exit = await run(session, input, async (source, chunk) => kept[source].add(chunk));
  const [stdout, stderr] = [encodeText(kept.stdout.bytes()), encodeText(kept.stderr.bytes())];
  return {
    ...exit,
    dropped: { stdout: kept.stdout.dropped, stderr: kept.stderr.dropped },
    stdout: stdout.data,
    stderr: stderr.data,
    ...(stdout.encoding ? { stdout_encoding: stdout.encoding } : {}),
    ...(stderr.encoding ? { stderr_encoding: stderr.encoding } : {}),
  };
}

/** Gives the command its input and writes its output as Server-Sent Events. Throws ApiError only before the first. */
export async function stream(
  session: RemoteSession,
  input: Buffer,
  out: ServerResponse,
  headers: Record<string, string>,
): Promise<void> {
  let begun = false;
  const say = async (event: string, data: object) => {
    if (out.destroyed) throw new Error("the caller has hung up");
    if (!begun) out.writeHead(200, { "content-type": "text/event-stream", "x-accel-buffering": "no", ...headers });
    begun = true;
    out.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    await drained(out);
  };
  const heartbeat = setInterval(() => begun && out.write(": still here\n\n"), HEARTBEAT_MS);
  const pieces = { stdout: new TextPieces(), stderr: new TextPieces() };
  const output = (source: Source, text: Omit<ExecOutput, "source"> | undefined) =>
    text && say("output", { source, ...text } satisfies ExecOutput);
  try {
    const exit = await run(session, input, async (source, chunk) => output(source, pieces[source].push(chunk)));
    for (const source of ["stdout", "stderr"] as const) await output(source, pieces[source].end());
    await say("exit", exit);
  } catch (error) {
    if (!begun) throw error;
    if (out.destroyed) return;
    const known = error instanceof ApiError ? error : new ApiError("unavailable", (error as Error).message);
    await say("error", known.toBody());
  } finally {
    clearInterval(heartbeat);
    if (begun) out.end();
  }
}

async function run(
  session: RemoteSession,
  input: Buffer,
  take: (source: Source, chunk: Buffer) => Promise<unknown>,
): Promise<ExecExit> {
  const started = performance.now();
  const bytes = { stdout: 0, stderr: 0 };
  const read = async (source: Source, from: Readable) => {
    for await (const chunk of from) {
      bytes[source] += chunk.length;
      await take(source, chunk);
    }
  };
  session.stdin.end(input);
  const [{ error, ...exit }] = await Promise.all([
    exitOf(session),
    read("stdout", session.stdout),
    read("stderr", session.stderr),
  ]);
  if (error !== null) throw new ApiError("not_started", error);
  const duration_ms = Math.round(performance.now() - started);
  return { ...exit, duration_ms, bytes, dropped: { stdout: 0, stderr: 0 } };
}

/** Throws ApiError unavailable when the connection breaks. */
function exitOf(session: RemoteSession) {
  return session.exit.catch((cause: Error) => {
    throw new ApiError("unavailable", cause.message);
  });
}

/** The beginning of an output. */
class Kept {
  readonly #chunks: Buffer[] = [];
  #size = 0;
  dropped = 0;

  add(chunk: Buffer): void {
    const room = execLimits.outputBytes - this.#size;
    if (room > 0) this.#chunks.push(chunk.subarray(0, room));
    this.#size += Math.min(chunk.length, room);
    this.dropped += Math.max(0, chunk.length - room);
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}
