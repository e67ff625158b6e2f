import { createReadStream, createWriteStream } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Qmp } from "./qmp.ts";

const SAVE_MS = 60_000;
/** What a machine still does when the first connection to it has ended, `ms` */
const SETTLE_MS = 300;
const WATCH_MS = 100;

/** Saves the state of a machine that is up, without its memory, to `file`, and ends it. QEMU may connect to `socket`. */
export async function saveState(qmp: Qmp, file: string, socket: string, allow: () => void): Promise<void> {
  const { promise: connection, resolve } = Promise.withResolvers<Socket>();
  const server = createServer((socket) => resolve(socket.on("error", () => undefined)));
  await new Promise<void>((listening) => server.listen(socket, listening));
  try {
    allow();
    await delay(SETTLE_MS);
    await qmp.execute("stop");
    await ignoreSharedMemory(qmp);
    await qmp.execute("migrate", { uri: `unix:${socket}` });
    await pipeline(await whileItLives(qmp, connection), createWriteStream(file, { mode: 0o600 }), {
      signal: AbortSignal.timeout(SAVE_MS),
    });
    const { status, "error-desc": error } = await qmp.execute<Progress>("query-migrate");
    if (status !== "completed") throw new Error(`saving a machine: ${error ?? status}`);
    await qmp.execute("quit").catch(() => undefined);
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
export async function loadState(qmp: Qmp, file: string, socket: string): Promise<void> {
  await ignoreSharedMemory(qmp);
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

/** Memory that is a file of its own is no part of the state. */
const ignoreSharedMemory = (qmp: Qmp): Promise<unknown> =>
  qmp.execute("migrate-set-capabilities", { capabilities: [{ capability: "x-ignore-shared", state: true }] });

interface Progress {
  status: string;
  "error-desc"?: string;
}
