import type { Session } from "@mags/sdk";
import type { Command } from "commander";
import { client, terminalType } from "../config.ts";
import { exitCodes } from "../exit-codes.ts";
import { keyValue, positive } from "../flags/values.ts";
import { complain, printJson } from "../render/output.ts";

interface Flags {
  tty?: boolean;
  env?: Record<string, string>;
  cwd?: string;
  user?: string;
  timeout?: number;
  json?: boolean;
}

export function addExec(program: Command): void {
  program
    .command("exec")
    .description("run a command in a live machine; streams input and output and exits with its exit code")
    .argument("<job>", "id or name")
    .argument("[command...]", "program and arguments, or one word for the shell; by default a shell in a terminal")
    .option("-t, --tty", "in a terminal; it is taken up again when the connection is cut")
    .option("-e, --env <KEY=VALUE>", "environment variable (repeatable)", keyValue)
    .option("--cwd <directory>", "directory to run it in; the user's home by default")
    .option("-u, --user <user>", "name, or numbers as uid or uid:gid; root by default")
    .option("--timeout <seconds>", "time it may run; no limit by default", positive)
    .option("--json", "print how it ended and its output as JSON when it has ended")
    .passThroughOptions()
    .addHelpText(
      "after",
      "\nExample:\n  mags exec brave-otter-3f2a -- ls -l /root\n  mags exec brave-otter-3f2a 'sort < /etc/passwd | head -3'\n  tar -c . | mags exec brave-otter-3f2a -- tar -x -C /srv\n\nExit codes: the command's own; 124 time limit, 125 not started.\nCtrl-C is passed on; a second one leaves at once.",
    )
    .action(exec);
}

async function exec(job: string, given: string[], { tty, json, ...flags }: Flags, command: Command): Promise<void> {
  const words = given[0] === "--" ? given.slice(1) : given;
  if (json && (tty || words.length === 0)) command.error("error: --json needs a command, and no terminal");
  const printed = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  const text = { stdout: "", stderr: "" };
  let complained = false;
  const inTerminal = tty ?? (words.length === 0 && process.stdin.isTTY && process.stdout.isTTY);
  const session = await client().session(job, {
    ...flags,
    command: words.length === 0 ? undefined : words.length === 1 ? words[0] : words,
    tty: inTerminal ? { ...windowSize(), term: terminalType } : undefined,
    onOutput: (source, data) => {
      complained ||= source === "stderr";
      if (json) {
        text[source] += printed[source].decode(data, { stream: true });
        return;
      }
      return write(source === "stdout" ? process.stdout : process.stderr, data);
    },
  });
  const restore = inTerminal ? rawTerminal(session) : passInterrupts(session);
  void sendInput(session);
  try {
    const { exit_code, timed_out, error } = await session.exit;
    if (json) printJson({ exit_code, timed_out, error, ...text });
    // Where the runtime has said it already, once is enough.
    else if (error !== null && !complained) complain(error);
    process.exitCode = timed_out ? exitCodes.timeout : (exit_code ?? exitCodes.notRun);
  } finally {
    restore();
  }
}

const windowSize = () => ({ cols: process.stdout.columns || 80, rows: process.stdout.rows || 24 });

async function write(stream: NodeJS.WriteStream, data: Uint8Array): Promise<void> {
  // Not events.once: it would reject when the reader goes, which is for leaveWithReader to deal with.
  if (!stream.write(data)) await new Promise((resolve) => stream.once("drain", resolve));
}

async function sendInput(session: Session): Promise<void> {
  for await (const chunk of process.stdin) await session.write(chunk);
  session.end();
}

/** Every key goes to the command, and it knows how large the window is. */
function rawTerminal(session: Session): () => void {
  const resize = () => {
    const { cols, rows } = windowSize();
    session.resize(cols, rows);
  };
  process.stdout.on("resize", resize);
  if (process.stdin.isTTY) process.stdin.setRawMode(true);
  return () => {
    process.stdout.off("resize", resize);
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
  };
}

function passInterrupts(session: Session): () => void {
  let asked = false;
  const interrupt = (signal: string) => {
    if (asked) process.exit(exitCodes.stopped);
    asked = true;
    session.kill(signal);
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  return () => {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  };
}
