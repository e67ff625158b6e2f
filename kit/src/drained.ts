import type { Writable } from "node:stream";

/**
 * Resolves when more may be written, or nothing ever will: a stream that is destroyed takes what is written without a word. It leaves
 * no listener behind, however often it is called.
 */
export async function drained(stream: Pick<Writable, "destroyed" | "writableNeedDrain" | "on" | "off">): Promise<void> {
  if (stream.destroyed || !stream.writableNeedDrain) return;
  await new Promise<void>((resolve) => {
    const go = () => {
      stream.off("drain", go);
      stream.off("close", go);
      resolve();
    };
    stream.on("drain", go);
    stream.on("close", go);
  });
}
