import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { RemoteSession } from "@mags/agent-client";
import { ApiError, type FileChange, type FileEntry } from "@mags/protocol";
import type { Access, Place } from "../service.ts";
import { addRecord, changesBetween, type Look, parseEntries } from "./entries.ts";
import { chunksAfterLine, pieces, records } from "./pieces.ts";
import * as scripts from "./scripts.ts";

/** A file in a machine, and who asks. */
export interface FileAt {
  place: Place;
  path: string;
  user: string | undefined;
  signal: AbortSignal;
}

export interface FileContent {
  size: number;
  modifiedAt: Date;
  mode: string;
  /** fails when it ends early */
  body: AsyncGenerator<Uint8Array>;
}

/** Most of a script's complaint that is looked at, `bytes`. */
const STDERR_BYTES = 4096;
/** Most of a listing, `bytes`: some hundred thousand entries. */
const LISTING_BYTES = 32 * 1024 * 1024;
/** Most entries of a tree that is watched. */
const WATCHED_ENTRIES = 50_000;

/** The files of live machines. Nothing is held in memory but what is under way. All throw ApiError. */
export class SandboxFiles {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  async read(file: FileAt): Promise<FileContent> {
    const run = await this.#run(file, scripts.READ);
    run.session.stdin.end();
    const { line, rest } = await chunksAfterLine(run.session.stdout);
    if (line === undefined) throw await run.failure();
    const [size, seconds, mode = ""] = line.split(" ");
    const modifiedAt = new Date(Number(seconds) * 1000);
    return { size: Number(size), modifiedAt, mode, body: run.whole(rest) };
  }

  /** Replaces the file in one step when the body has come to its end, and not at all when it was cut. */
  async write(file: FileAt, body: Readable, options: { parents: boolean; mode: string | undefined }): Promise<void> {
    const run = await this.#run(file, scripts.WRITE, options.parents ? "1" : "0", options.mode ?? "");
    await run.feed(pieces(body));
    await run.done();
  }

  async remove(file: FileAt, recursive: boolean): Promise<void> {
    await this.#do(file, scripts.REMOVE, recursive ? "1" : "0");
  }

  async makeDirectory(file: FileAt, parents: boolean): Promise<void> {
    await this.#do(file, scripts.MAKE_DIRECTORY, parents ? "1" : "0");
  }

  async stat(file: FileAt): Promise<FileEntry> {
    const [entry] = parseEntries(await this.#do(file, scripts.STAT));
    if (!entry) throw new ApiError("not_found", `there is no ${file.path} in the machine`, "path");
    return entry;
  }

  async list(file: FileAt): Promise<FileEntry[]> {
    return parseEntries(await this.#do(file, scripts.LIST));
  }

  /** A directory as tar. */
  async pack(file: FileAt): Promise<AsyncGenerator<Uint8Array>> {
    const run = await this.#run(file, scripts.PACK);
    run.session.stdin.end();
    // Nothing is answered before the first bytes, so that what is wrong has a status.
    const chunks = run.session.stdout[Symbol.asyncIterator]();
    const first = await chunks.next();
    if (first.done) throw await run.failure();
    return run.whole(
      (async function* () {
        yield first.value;
        for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
      })(),
    );
  }

  /** Unpacks a tar into a directory; what has been unpacked stays when it is cut or wrong. */
  async unpack(file: FileAt, body: Readable): Promise<void> {
    const run = await this.#run(file, scripts.UNPACK);
    await run.feed(body);
    await run.done();
  }

  /** Looks again and again; the first item is empty and says that it begins. */
  async *watch(file: FileAt, seconds: number): AsyncGenerator<FileChange[]> {
    const run = await this.#run(file, scripts.WATCH, String(seconds));
    run.session.stdin.end();
    let before: Look | undefined;
    let look: Look = new Map();
    for await (const record of records(run.session.stdout)) {
      if (record !== "") {
        addRecord(look, record);
        if (look.size > WATCHED_ENTRIES)
          throw new ApiError(
            "too_large",
            `${file.path} has more than ${WATCHED_ENTRIES} entries: watch a part of it`,
            "path",
          );
        continue;
      }
      const changes = before ? changesBetween(before, look) : [];
      if (changes.length > 0 || !before) yield changes;
      before = look;
      look = new Map();
    }
    throw await run.failure();
  }

  /** Runs a script that says little, to its end. */
  async #do(file: FileAt, script: string, ...args: string[]): Promise<string> {
    const run = await this.#run(file, script, ...args);
    run.session.stdin.end();
    let output = "";
    const decoder = new TextDecoder();
    for await (const chunk of run.session.stdout) {
      output += decoder.decode(chunk, { stream: true });
      if (output.length > LISTING_BYTES) {
        run.session.hangUp();
        throw new ApiError("too_large", `${file.path} has too many entries to list`, "path");
      }
    }
    await run.done();
    return output;
  }

  async #run(file: FileAt, script: string, ...args: string[]): Promise<Run> {
    // A relative path must not look like an option.
    const path = file.path.startsWith("/") ? file.path : `./${file.path}`;
    const argv = ["/bin/sh", "-c", script, "mags-files", path, ...args];
    const session = await this.#access.open(file.place, { argv, user: file.user ?? "root" }, file.signal);
    const leave = () => session.hangUp();
    file.signal.addEventListener("abort", leave, { once: true });
    session.exit.catch(() => undefined).finally(() => file.signal.removeEventListener("abort", leave));
    return new Run(session, file.path);
  }
}

/** A script at work. */
class Run {
  readonly session: RemoteSession;
  readonly #path: string;
  readonly #complaint: Promise<string>;

  constructor(session: RemoteSession, path: string) {
    this.session = session;
    this.#path = path;
    this.#complaint = text(session.stderr).then(
      (said) => said.slice(0, STDERR_BYTES).trim(),
      () => "",
    );
  }

  /** Gives it input at its pace; stops where it has ended. A body that breaks hangs it up. */
  async feed(body: AsyncIterable<Uint8Array>): Promise<void> {
    const { stdin, stdout, exit } = this.session;
    stdout.resume();
    let ended = false;
    const end = exit
      .catch(() => undefined)
      .then(() => {
        ended = true;
      });
    try {
      for await (const chunk of body) {
        if (ended) return;
        const taken = new Promise<void>((resolve) => stdin.write(chunk, () => resolve()));
        await Promise.race([taken, end]);
      }
      stdin.end();
    } catch (error) {
      this.session.hangUp();
      throw error;
    }
  }

  /** Throws ApiError unless it ended well. */
  async done(): Promise<void> {
    const error = await this.#error();
    if (error) throw error;
  }

  /** Why it gave nothing. */
  async failure(): Promise<ApiError> {
    return (await this.#error()) ?? new ApiError("unavailable", "the machine answered nothing");
  }

  /** The same chunks; throws when it did not end well after them. */
  async *whole(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* chunks;
      await this.done();
    } finally {
      this.session.hangUp();
    }
  }

  async #error(): Promise<ApiError | undefined> {
    const end = await this.session.exit.catch((cause: Error) => {
      throw new ApiError("unavailable", cause.message);
    });
    if (end.error !== null) return new ApiError("not_started", end.error);
    return end.exit_code === 0 ? undefined : meaning(end.exit_code, this.#path, await this.#complaint);
  }
}

function meaning(exitCode: number | null, path: string, complaint: string): ApiError {
  const { missing, isDirectory, noDirectory, notEmpty, noFile, cut } = scripts.failures;
  switch (exitCode) {
    case missing:
      return new ApiError("not_found", `there is no ${path} in the machine`, "path");
    case isDirectory:
      return new ApiError("conflict", `${path} is a directory`, "path");
    case noDirectory:
      return new ApiError("conflict", `${path} is no directory`, "path");
    case notEmpty:
      return new ApiError("conflict", `${path} is there, and not empty`, "path");
    case noFile:
      return new ApiError("conflict", `${path} is no file with a content`, "path");
    case cut:
      return new ApiError("invalid_request", "the body was cut off; the file is as it was");
  }
  if (complaint.includes("No space left on device")) return new ApiError("disk_full", `the machine's disk is full`);
  if (complaint.includes("Permission denied")) return new ApiError("conflict", `${path}: permission denied`, "path");
  return new ApiError("conflict", `${path}: ${complaint.slice(-300) || `failed with exit code ${exitCode}`}`, "path");
}
