import { constants } from "node:os";
import { MemoryFile, type ProcessEnd, startProcess } from "./syscalls/process.ts";

/** Child processes that are talked to while they run: streams, signals, IPC. Short commands go through `run`. */
export { execa as spawn, type Options as RunOptions, type ResultPromise as Running } from "execa";

/** Error of a child process that failed: the command, how it ended and what it said last. */
export class RunError extends Error {
  override readonly name = "RunError";
  /** undefined when a signal ended it or it could not be started */
  readonly exitCode: number | undefined;
  readonly stderr: string;

  constructor(command: string, exitCode: number | undefined, stderr: string, cause?: unknown) {
    super(
      `${command} failed${exitCode === undefined ? "" : ` with exit code ${exitCode}`}: ${stderr.trim().slice(-2000) || "(no message)"}`,
      { cause },
    );
    this.exitCode = exitCode;
    this.stderr = stderr;
  }
}

export interface CommandOptions {
  /** its standard input; nothing by default */
  input?: string;
  cwd?: string;
  /** added to our own environment */
  env?: Readonly<Record<string, string | undefined>>;
}

/**
 * Runs a program to its end and returns its stdout without the final newline. Throws RunError. Its output is kept in
 * memory files, so this is for commands that say little.
 */
export async function run(file: string, args: readonly string[] = [], options: CommandOptions = {}): Promise<string> {
  const command = `${file} ${args.join(" ")}`.slice(0, 500);
  const [input, stdout, stderr] = [new MemoryFile(options.input), new MemoryFile(), new MemoryFile()];
  try {
    const end = await start(command, file, args, options, [input.fd, stdout.fd, stderr.fd]);
    if (end.exitCode === 0) return withoutNewline(stdout.text());
    throw new RunError(command, end.exitCode ?? undefined, withoutNewline(stderr.text()) || signalNote(end));
  } finally {
    for (const file of [input, stdout, stderr]) file.close();
  }
}

async function start(
  command: string,
  file: string,
  args: readonly string[],
  options: CommandOptions,
  stdio: number[],
): Promise<ProcessEnd> {
  try {
    const env = { ...process.env, ...options.env };
    return await startProcess(file, args, { env, cwd: options.cwd, stdio }).ended;
  } catch (error) {
    throw new RunError(command, undefined, (error as Error).message, error);
  }
}

function signalNote({ signal }: ProcessEnd): string {
  if (signal === null) return "";
  const name = Object.entries(constants.signals).find(([, number]) => number === signal)?.[0];
  return `ended by ${name ?? `signal ${signal}`}`;
}

const withoutNewline = (text: string) => text.replace(/\n$/, "");
