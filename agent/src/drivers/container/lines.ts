import { closeSync, fchmodSync, fchownSync } from "node:fs";
import { Socket } from "node:net";
import { PassThrough, type Readable, Writable } from "node:stream";
import { ReadStream } from "node:tty";
import { makePipe, openTerminal, resizeTerminal } from "@mags/kit";

/** The streams between a session's command and us. */
export interface Line {
  /** descriptors 0, 1 and 2 of the command; whoever has started it closes them */
  theirs: [number, number, number];
  stdin: Writable;
  stdout: Readable;
  stderr: Readable | null;
  resize(cols: number, rows: number): void;
  /** The caller has left; a command that is told so may still say its last words. */
  leave(): void;
  close(): void;
}

/** How long what a command says after its caller left is taken: it would die of a closed pipe before its trap has run, `ms` */
const LAST_WORDS_MS = 5_000;

const END_OF_INPUT = "\x04";

export interface Pipes extends Line {
  /** `owner`, an id of the host, may open them by their names in /dev, too. */
  giveTo(owner: number): void;
}

/** Three pipes. */
export function pipes(): Pipes {
  const [input, output, errors] = [makePipe(), makePipe(), makePipe()];
  const stdin = new Socket({ fd: input[1], readable: false, writable: true });
  const [stdout, stderr] = [output, errors].map(([fd]) => new Socket({ fd, readable: true, writable: false }));
  const all = [stdin, stdout, stderr] as [Socket, Socket, Socket];
  // A command need not read its input to the end.
  stdin.on("error", () => undefined);
  const close = () => {
    for (const stream of all) stream.destroy();
  };
  return {
    theirs: [input[0], output[1], errors[1]],
    stdin,
    stdout: all[1],
    stderr: all[2],
    resize: () => undefined,
    giveTo: (owner) => {
      for (const [reader] of [output, errors]) {
        fchownSync(reader, owner, owner);
        fchmodSync(reader, 0o622);
      }
    },
    leave: () => {
      stdin.destroy();
      for (const stream of all.slice(1)) stream.resume();
      setTimeout(close, LAST_WORDS_MS).unref();
    },
    close,
  };
}

/** A terminal of the sandbox whose root directory is `root`. */
export function terminal(root: string, owner: number, size: { cols: number; rows: number }): Line {
  const { master, slave } = openTerminal(root);
  let ours: ReadStream;
  try {
    fchownSync(slave, owner, owner);
    resizeTerminal(slave, size.cols, size.rows);
    ours = new ReadStream(master);
  } catch (error) {
    closeSync(master);
    closeSync(slave);
    throw error;
  }
  const stdout = new PassThrough();
  // When the last program has left its side, reading ours fails.
  ours.on("error", () => stdout.end());
  ours.pipe(stdout);
  const stdin = new Writable({
    write: (chunk, _encoding, done) => void ours.write(chunk, () => done()),
    final: (done) => void ours.write(END_OF_INPUT, () => done()),
  });
  const close = () => {
    ours.destroy();
    stdout.end();
  };
  return {
    theirs: [slave, slave, slave],
    stdin,
    stdout,
    stderr: null,
    resize: (cols, rows) => {
      if (!ours.destroyed) resizeTerminal(master, cols, rows);
    },
    leave: close,
    close,
  };
}
