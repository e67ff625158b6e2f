import { execa, type Options, type ResultPromise } from "execa";

/** The project's only door to child processes. */
export { execa as spawn, type Options as RunOptions, type ResultPromise as Running } from "execa";

/** Error of a child process that failed: the command, how it ended and what it said last. */
export class RunError extends Error {
  override readonly name = "RunError";
  readonly exitCode: number | undefined;
  readonly stderr: string;

  constructor(command: string, exitCode: number | undefined, stderr: string, cause: unknown) {
    super(
      `${command} failed${exitCode === undefined ? "" : ` with exit code ${exitCode}`}: ${stderr.trim().slice(-2000) || "(no message)"}`,
      { cause },
    );
    this.exitCode = exitCode;
    this.stderr = stderr;
  }
}

/** Runs a program to its end and returns its stdout without the final newline. Throws RunError. */
export async function run(file: string, args: readonly string[] = [], options: Options = {}): Promise<string> {
  const child: ResultPromise = execa(file, args, { stdin: "ignore", ...options, reject: false });
  const result = await child;
  if (result.failed) {
    throw new RunError(
      `${file} ${args.join(" ")}`.slice(0, 500),
      result.exitCode,
      String(result.stderr || result.shortMessage || ""),
      result.cause,
    );
  }
  return String(result.stdout ?? "");
}
