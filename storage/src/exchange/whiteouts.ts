import { lstatSync, readdirSync, unlinkSync, writeFileSync } from "node:fs";
import { getXattr, makeWhiteout, removeXattr, setXattr } from "@mags/kit";
import { VersionError } from "../versions/index.ts";

/**
 * How deletions are told in an overlay's upper directory (character devices 0/0, an attribute on directories) and in an
 * OCI layer (files whose names begin with `.wh.`).
 */
const PREFIX = ".wh.";
const OPAQUE_FILE = ".wh..wh..opq";
const OPAQUE = "trusted.overlay.opaque";
const SLASH = Buffer.from("/");

/** Rewrites an upper directory that nobody else uses as an OCI layer has it. */
export function toLayer(upper: string): void {
  for (const { path, name, kind, parent } of walk(Buffer.from(upper))) {
    if (kind === "whiteout") {
      unlinkSync(path);
      writeFileSync(join(parent, Buffer.concat([Buffer.from(PREFIX), name])), "", { mode: 0o644, flag: "wx" });
    } else if (kind === "directory" && getXattr(path, OPAQUE) === "y") {
      removeXattr(path, OPAQUE);
      writeFileSync(join(path, Buffer.from(OPAQUE_FILE)), "", { mode: 0o644, flag: "wx" });
    }
  }
}

/** Rewrites what was unpacked from an OCI layer as an overlay has it. Throws VersionError `invalid` for impossible names. */
export function fromLayer(upper: string): void {
  for (const { path, name, kind, parent } of walk(Buffer.from(upper))) {
    if (!name.toString("latin1").startsWith(PREFIX)) continue;
    const hidden = name.subarray(PREFIX.length);
    if (kind === "directory") throw new VersionError("invalid", `the archive has a directory named ${name}`);
    unlinkSync(path);
    if (name.equals(Buffer.from(OPAQUE_FILE))) setXattr(parent, OPAQUE, "y");
    else if (["", ".", ".."].includes(hidden.toString("latin1"))) {
      throw new VersionError("invalid", `the archive has a whiteout named ${name}`);
      // An entry of the layer itself stands above what is below in any case.
    } else if (lstatSync(join(parent, hidden), { throwIfNoEntry: false }) === undefined) {
      makeWhiteout(join(parent, hidden));
    }
  }
}

interface Entry {
  path: Buffer;
  name: Buffer;
  parent: Buffer;
  kind: "directory" | "whiteout" | "other";
}

/** Everything below a directory, names of any bytes, symbolic links not followed. A list: the tree is changed on the way. */
function walk(directory: Buffer): Entry[] {
  const found: Entry[] = [];
  const left = [directory];
  for (let parent = left.pop(); parent; parent = left.pop()) {
    for (const entry of readdirSync(parent, { withFileTypes: true, encoding: "buffer" })) {
      const path = join(parent, entry.name);
      const kind = entry.isDirectory() ? "directory" : isWhiteout(entry, path) ? "whiteout" : "other";
      found.push({ path, name: entry.name, parent, kind });
      if (kind === "directory") left.push(path);
    }
  }
  return found;
}

const isWhiteout = (entry: { isCharacterDevice(): boolean }, path: Buffer): boolean =>
  entry.isCharacterDevice() && lstatSync(path).rdev === 0;

const join = (parent: Buffer, name: Buffer): Buffer => Buffer.concat([parent, SLASH, name]);
