import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeText, type Text, TextPieces } from "./text.ts";

const decode = (pieces: (Text | undefined)[]) =>
  Buffer.concat(pieces.flatMap((piece) => (piece ? [Buffer.from(piece.data, piece.encoding ?? "utf8")] : [])));

/** Pushes `bytes` cut at `cuts`. */
function inPieces(bytes: Buffer, cuts: number[]): (Text | undefined)[] {
  const pieces = new TextPieces();
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  const chunks = [...ends, bytes.length].map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end));
  return [...chunks.map((chunk) => pieces.push(chunk)), pieces.end()];
}

test("text stays text wherever it is cut, and every byte arrives", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.array(fc.nat(200)), (text, cuts) => {
      const bytes = Buffer.from(text);
      const pieces = inPieces(bytes, cuts);
      expect(decode(pieces).equals(bytes)).toBe(true);
      expect(pieces.some((piece) => piece?.encoding)).toBe(false);
    }),
  );
});

test("bytes that are no text arrive, too", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.array(fc.nat(200)), (data, cuts) => {
      const bytes = Buffer.from(data);
      expect(decode(inPieces(bytes, cuts)).equals(bytes)).toBe(true);
      expect(decode([encodeText(bytes)]).equals(bytes)).toBe(true);
    }),
  );
});
