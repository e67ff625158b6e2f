import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileKey, filePartCount, filePartKey, StoredFile } from "@mags/protocol";
import type { ObjectStore } from "@mags/storage";
import type { Sandbox, Session } from "../sandbox/driver.ts";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** What is kept of the last words of a command that failed, `bytes` */
const WORDS_BYTES = 2000;

interface Placing {
  sandbox: Sandbox;
  objects: ObjectStore;
  org: string;
  /** the job's id and its files' */
  job: string;
  ids: readonly string[];
  signal: AbortSignal;
}

/**
 * Puts a job's files into /root under their names. They are written from inside, by a command of the sandbox's, so no link
 * that an earlier script has left there leads anywhere else; under other names first, and moved when all are whole, so that
 * a script never sees a part. Memory is that of one part, however large a file is. Throws Error with what is wrong.
 */
export async function placeFiles(placing: Placing): Promise<void> {
  const { job, ids } = placing;
  if (ids.length === 0) return;
  const drafts = ids.map((_, number) => `/root/.mags-file-${job}-${number}`);
  try {
    const names: string[] = [];
    for (const [number, id] of ids.entries()) names.push(await write(placing, id, drafts[number] as string));
    await inside(
      placing,
      MOVE,
      drafts.flatMap((draft, number) => [draft, names[number] as string]),
    );
  } catch (error) {
    await inside({ ...placing, signal: new AbortController().signal }, 'rm -f -- "$@"', drafts).catch(() => undefined);
    placing.signal.throwIfAborted();
    throw error;
  }
}

// Clients of the hosted service look for their files in /uploads, too.
const MOVE = `[ -e /uploads ] || ln -s /root /uploads
while [ $# -gt 0 ]; do mv -fT -- "$1" "/root/$2" || exit; shift 2; done`;

/** Writes one file and answers its name. */
async function write(placing: Placing, id: string, draft: string): Promise<string> {
  const { objects, org, signal } = placing;
  const file = StoredFile.parse(JSON.parse((await objects.get(fileKey(org, id), { signal })).toString()));
  const hash = createHash("sha256");
  async function* parts() {
    for (let part = 0; part < filePartCount(file); part++) {
      const body = await objects.get(filePartKey(org, id, part), { signal });
      hash.update(body);
      yield body;
    }
  }
  await inside(placing, 'umask 022; exec cat >"$1"', [draft], Readable.from(parts(), { objectMode: false }));
  if (hash.digest("hex") !== file.sha256) throw new Error(`file ${file.name} is damaged in the object store`);
  return file.name;
}

/** Runs a command of the sandbox's shell to its end. Throws Error with its last words. */
async function inside({ sandbox, signal }: Placing, command: string, args: string[], input?: Readable): Promise<void> {
  const session = await sandbox.open({
    argv: ["/bin/sh", "-c", command, "mags-files", ...args],
    env: { PATH },
    cwd: "/",
  });
  const end = () => void session.hangUp();
  signal.addEventListener("abort", end, { once: true });
  try {
    const words = lastWords(session);
    // A command that ends early breaks the pipe; why it did is in its own words.
    const fed = pipeline(input ?? Readable.from([]), session.stdin).catch((error: Error) => error);
    const [{ exit_code, error }, failure] = [await session.exit, await Promise.race([fed, session.exit])];
    signal.throwIfAborted();
    if (exit_code !== 0) throw new Error(`the files could not be placed: ${error ?? (await words)}`);
    if (failure instanceof Error) throw failure;
  } finally {
    signal.removeEventListener("abort", end);
    input?.destroy();
  }
}

async function lastWords(session: Session): Promise<string> {
  session.stdout.resume();
  let words = "";
  for await (const chunk of session.stderr ?? []) words = (words + String(chunk)).slice(-WORDS_BYTES);
  return words.trim() || "the command ended without a word";
}
