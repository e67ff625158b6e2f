import { createHash } from "node:crypto";
import { connect, createServer } from "node:net";
import { text } from "node:stream/consumers";

/**
 * Holds the data directory for this process: a listening socket with an abstract name, which the kernel takes back
 * when the process dies, however it dies. Whoever connects is told the pid. Throws when another daemon has the directory,
 * saying which process that is.
 */
export async function lockDataDir(dataDir: string): Promise<{ release(): Promise<void> }> {
  const name = `\0mags-${createHash("sha256").update(dataDir).digest("hex").slice(0, 16)}`;
  const server = createServer((socket) => socket.on("error", () => undefined).end(String(process.pid)));
  await new Promise<void>((resolve, reject) => {
    server.once("error", async () => {
      const pid = await text(connect(name)).catch(() => "");
      const holder = /^\d+$/.test(pid) ? ` (process id ${pid})` : "";
      reject(new Error(`another magsd is running on ${dataDir}${holder}; stop it or set MAGS_DATA_DIR`));
    });
    server.listen(name, resolve);
  });
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}
