import { createHash } from "node:crypto";
import { createServer } from "node:net";

/**
 * Holds the data directory for this process: a listening socket with an abstract name, which the kernel takes back
 * when the process dies, however it dies. Throws when another daemon has the directory.
 */
export async function lockDataDir(dataDir: string): Promise<{ release(): Promise<void> }> {
  const name = `\0mags-${createHash("sha256").update(dataDir).digest("hex").slice(0, 16)}`;
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", () =>
      reject(new Error(`another magsd is running on ${dataDir}; stop it or set MAGS_DATA_DIR`)),
    );
    server.listen(name, resolve);
  });
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}
