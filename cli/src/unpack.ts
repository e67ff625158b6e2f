import { mkdir } from "node:fs/promises";
import { posix } from "node:path";
import { type ReadEntry, Unpack } from "tar";
import { harmless } from "./render/table.ts";

/**
 * Unpacks an archive that a machine has made, which is not to be trusted: nothing is written outside of `target`, neither by names
 * nor through links, also ones that are there from before; owners, set-uid bits, devices and links that lead out are left out,
 * and what was left out is told.
 */
export async function unpackInto(archive: AsyncIterable<Uint8Array>, target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  const leftOut = (path: string, why: string) =>
    process.stderr.write(`left out: ${harmless(path)} (${harmless(why)})\n`);
  const unpack = new Unpack({
    cwd: target,
    preserveOwner: false,
    preservePaths: false,
    // The mode without what would make a program run as its owner.
    filter: (path, entry) => {
      const { mode, type, linkpath } = entry as ReadEntry;
      (entry as ReadEntry).mode = mode === undefined ? mode : mode & 0o777;
      if (type !== "SymbolicLink" || !leadsOut(path, linkpath ?? "")) return true;
      leftOut(path, "a link that leads out of the directory");
      return false;
    },
    onwarn: (code, message, data) => {
      const { entry, path = "" } = data as { entry?: ReadEntry; path?: string };
      if (code !== "TAR_ENTRY_INFO") leftOut(entry?.path ?? path, String(message));
    },
  });
  // No stream of Node's: it may say that it has finished before pipeline() listens.
  const finished = new Promise<void>((resolve, reject) => unpack.once("finish", resolve).once("error", reject));
  finished.catch(() => undefined);
  for await (const chunk of archive)
    if (!unpack.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)))
      await Promise.race([new Promise<void>((resolve) => unpack.once("drain", resolve)), finished]);
  unpack.end();
  await finished;
}

/** True for a link's text that names something above the directory that is unpacked. */
function leadsOut(path: string, linkpath: string): boolean {
  const leads = posix.join(posix.dirname(path), linkpath);
  // Above the target, or up again behind a name, which may be a link itself.
  return posix.isAbsolute(linkpath) || /^\.\.(\/|$)/.test(leads) || /[^./][^/]*\/(.*\/)?\.\.(\/|$)/.test(linkpath);
}
