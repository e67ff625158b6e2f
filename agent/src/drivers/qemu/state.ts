import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, createWriteStream, lchownSync } from "node:fs";
import { rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Qmp } from "./qmp.ts";

const SAVE_MS = 120_000;
/** What a machine still does when the first connection to it has ended, `ms` */
export const SETTLE_MS = 300;
const WATCH_MS = 100;
/** Nothing goes on meanwhile that a transfer could be in the way of, `bytes/s` */
const BANDWIDTH = 2 ** 40;

/** Where QEMU connects to, to hand out its state. */
export interface Outlet {
  socket: string;
  /** QEMU's user */
  uid: number;
  /** more of it is none, `bytes` */
  most: number;
}

/**
 * Stops a machine that is up and saves its state to `file`; with its memory, unless that is a file of its own that is kept
 * (`memory: "apart"`). Answers the SHA-256 of the file.
 */
export async function saveState(
  qmp: Qmp,
  file: string,
  { socket, uid, most }: Outlet,
  memory: "within" | "apart",
): Promise<string> {
  const { promise: connection, resolve } = Promise.withResolvers<Socket>();
  const server = createServer((socket) => resolve(socket.on("error", () => undefined)));
  // Of a process that ended while it did this.
  await rm(socket, { force: true });
  await once(server.listen(socket), "listening");
  try {
    // Not what may lie there in its place: the directory is QEMU's.
    lchownSync(socket, uid, uid);
    await qmp.execute("stop");
    await leaveMemory(qmp, memory === "apart");
    await qmp.execute("migrate-set-parameters", { "max-bandwidth": BANDWIDTH });
    await qmp.execute("migrate", { uri: `unix:${socket}` });
    const hash = createHash("sha256");
    let bytes = 0;
    const watched = async function* (source: AsyncIterable<Buffer>) {
      for await (const chunk of source) {
        bytes += chunk.length;
        if (bytes > most) throw new Error("a machine has more to save than there can be of it");
        hash.update(chunk);
        yield chunk;
      }
    };
    const target = createWriteStream(file, { mode: 0o600, flush: true });
    const signal = AbortSignal.timeout(SAVE_MS);
    await pipeline(await whileItLives(qmp, connection), watched, target, { signal });
    const { status, "error-desc": error } = await qmp.execute<Progress>("query-migrate");
    if (status !== "completed") throw new Error(`saving a machine: ${error ?? status}`);
    return hash.digest("hex");
  } finally {
    server.close();
  }
}

/** What is waited for, unless QEMU ends before it comes: then whoever wants a machine would wait for ever. */
async function whileItLives<T>(qmp: Qmp, wanted: Promise<T>): Promise<T> {
  const done = new AbortController();
  const watch = async (): Promise<never> => {
    for (;;) {
      await delay(WATCH_MS, undefined, { signal: done.signal });
      await qmp.execute("query-status");
    }
  };
  try {
    return await Promise.race([wanted, watch()]);
  } finally {
    done.abort();
  }
}

/** Lets a machine that waits for it go on from `file`. */
export async function loadState(qmp: Qmp, file: string, socket: string, memory: "within" | "apart"): Promise<void> {
  await leaveMemory(qmp, memory === "apart");
  await qmp.execute("migrate-incoming", { uri: `unix:${socket}` });
  // QEMU hangs up when it has read enough, also after the last byte; whether that went well its status says.
  const line = connect(socket).on("error", () => undefined);
  await pipeline(createReadStream(file), line, { signal: AbortSignal.timeout(SAVE_MS) }).catch(() => undefined);
  const deadline = performance.now() + SAVE_MS;
  for (;;) {
    const { status } = await qmp.execute<{ status: string }>("query-status");
    // Told earlier, a machine goes on deaf.
    if (status !== "inmigrate") break;
    if (performance.now() > deadline) throw new Error("a saved machine did not come back");
    await delay(5);
  }
  await qmp.execute("cont");
}

/** SHA-256 of a file that may be large. */
export async function hashOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

/** Memory that is a file of its own is no part of the state, where that is wanted. */
const leaveMemory = (qmp: Qmp, state: boolean): Promise<unknown> =>
  qmp.execute("migrate-set-capabilities", { capabilities: [{ capability: "x-ignore-shared", state }] });

interface Progress {
  status: string;
  "error-desc"?: string;
}
