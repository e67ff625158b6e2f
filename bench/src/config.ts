import { readFileSync } from "node:fs";

const { env } = process;
const dataDir = env.MAGS_DATA_DIR || "/var/lib/mags";

/** Where the server and the image are; the same variables as the daemon's. */
export const config = {
  apiUrl: env.MAGS_API_URL || `http://${env.MAGS_LISTEN || "127.0.0.1:7070"}`,
  imageDir: env.MAGS_IMAGE_DIR || `${dataDir}/images`,
  rootfs: `${env.MAGS_IMAGE_DIR || `${dataDir}/images`}/base/rootfs`,
  apiToken: env.MAGS_API_TOKEN || env.MAGS_TOKEN || read(`${dataDir}/admin.token`),
};

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}
