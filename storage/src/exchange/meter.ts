import { createHash } from "node:crypto";
import { Transform, type TransformCallback } from "node:stream";
import { VersionError } from "../versions/index.ts";

/** What goes with an export, so that whoever has it can tell whether it is whole. */
export interface ExportManifest {
  format: 1;
  kind: "tar" | "ext4" | "oci";
  bytes: number;
  sha256: string;
}

/** Passes a stream on and says in the end what it was. */
export class Meter extends Transform {
  readonly #hash = createHash("sha256");
  #bytes = 0;

  override _transform(chunk: Buffer, _: BufferEncoding, done: TransformCallback): void {
    this.#hash.update(chunk);
    this.#bytes += chunk.length;
    done(null, chunk);
  }

  manifest(kind: ExportManifest["kind"]): ExportManifest {
    return { format: 1, kind, bytes: this.#bytes, sha256: this.#hash.digest("hex") };
  }

  /** Throws VersionError when what came is not what `expected` says; without it, anything is right. */
  check(expected: Pick<ExportManifest, "sha256"> | undefined): void {
    if (!expected) return;
    const { sha256 } = this.manifest("tar");
    if (sha256 === expected.sha256) return;
    const message = `the archive is not the one of its manifest: its SHA-256 is ${sha256}, not ${expected.sha256}`;
    throw new VersionError("damaged", message);
  }
}
