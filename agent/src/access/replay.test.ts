import fc from "fast-check";
import { expect, test } from "vitest";
import { Replay } from "./replay.ts";

test("what is replayed is the end of what was pushed, from where it was asked for or as early as there is", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), fc.nat(600), (pieces, position) => {
      const replay = new Replay(100);
      for (const piece of pieces) replay.push(piece);
      const all = pieces.flatMap((piece) => [...piece]);
      const answer = replay.from(position);
      expect(answer.pieces.flatMap((piece) => [...piece])).toEqual(all.slice(answer.position));
      // At least the last hundred bytes are there, and not much more.
      expect(answer.position).toBeLessThanOrEqual(Math.max(position, all.length - 100, 0));
      expect(answer.position).toBeGreaterThanOrEqual(Math.min(all.length, Math.max(position, all.length - 140)));
    }),
  );
});
