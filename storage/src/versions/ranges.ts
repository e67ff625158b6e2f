import { closeSync, fstatSync, openSync } from "node:fs";
import { setImmediate as breathe } from "node:timers/promises";
import { extentsOf } from "@mags/kit";

/** Bytes `start` to before `end` of a file. */
export interface Range {
  start: number;
  end: number;
}

const EXTENT_LAST = 0x1;
const EXTENT_UNWRITTEN = 0x800;
const EXTENT_MERGED = 0x1000;
const EXTENT_SHARED = 0x2000;
/** Flags of an extent whose physical address says which bytes it has. With any other the address may say nothing. */
const TELLING = EXTENT_LAST | EXTENT_MERGED | EXTENT_SHARED;
/** A piece of a file; without `physical` nobody knows where it lies. */
interface Piece extends Range {
  physical: number | undefined;
}

/**
 * The ranges of `b` that may differ from `a`, by comparing where the two files lie on the device: no data is read. Both
 * are in one file system with reflinks and nobody writes them. Every byte that differs is in a range, bytes behind the
 * end of `a` counting as zeros; a byte in a range may still be the same.
 */
export async function changedRanges(a: string, b: string): Promise<Range[]> {
  const [before, after] = [await piecesOf(a), await piecesOf(b)];
  const ranges: Range[] = [];
  for (const range of differences(before.pieces, after.pieces)) append(ranges, range, after.size);
  return ranges;
}

/** The ranges of a file that are no holes. */
export async function dataRanges(path: string): Promise<Range[]> {
  const { pieces, size } = await piecesOf(path);
  const ranges: Range[] = [];
  for (const piece of pieces) append(ranges, piece, size);
  return ranges;
}

/** What is not written, allocated or not, is zeros alike and left out. */
async function piecesOf(path: string): Promise<{ pieces: Piece[]; size: number }> {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const pieces: Piece[] = [];
    for (const extents of extentsOf(fd)) {
      for (const { logical, physical, length, flags } of extents) {
        if ((flags & ~TELLING) === EXTENT_UNWRITTEN || logical >= size) continue;
        const known = (flags & ~TELLING) === 0;
        // A block's rest behind the end of the file is no part of it.
        const end = Math.min(logical + length, size);
        pieces.push({ start: logical, end, physical: known ? physical : undefined });
      }
      // A map may have hundred thousands of extents.
      await breathe();
    }
    return { pieces, size };
  } finally {
    closeSync(fd);
  }
}

/** Walks both lists at once, from border to border. */
function* differences(a: Piece[], b: Piece[]): Generator<Range> {
  for (let i = 0, j = 0, at = 0; ; ) {
    while (a[i] && (a[i] as Piece).end <= at) i++;
    while (b[j] && (b[j] as Piece).end <= at) j++;
    const [x, y] = [a[i], b[j]];
    if (!x && !y) return;
    const inX = x !== undefined && x.start <= at;
    const inY = y !== undefined && y.start <= at;
    const end = Math.min(border(x, inX), border(y, inY));
    const same = inX && inY && placeOf(x) === placeOf(y);
    if (!same && (inX || inY)) yield { start: at, end };
    at = end;
  }
}

/** The device's address of the file's first byte, as if all lay like this piece; never the same as any other if unknown. */
function placeOf({ start, physical }: Piece): number {
  return physical === undefined ? Number.NaN : physical - start;
}

/** Where the piece, or the hole before it, ends. */
function border(piece: Piece | undefined, inside: boolean): number {
  if (!piece) return Number.POSITIVE_INFINITY;
  return inside ? piece.end : piece.start;
}

/** Adds what of a range lies before `size`, joined to the last where they meet. */
function append(ranges: Range[], range: Range, size: number): void {
  const { start, end } = { start: range.start, end: Math.min(range.end, size) };
  const last = ranges.at(-1);
  if (start >= end) return;
  if (last?.end === start) last.end = end;
  else ranges.push({ start, end });
}
