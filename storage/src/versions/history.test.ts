/** Property: of any history of a volume every version is restored as it was. */
import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { punchHole, run } from "@mags/kit";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Manifest, restore, upload } from "./index.ts";
import { makeWorld, type World } from "./testing/world.ts";

const MiB = 1024 ** 2;
const SIZE = 6 * MiB;
let world: World;
beforeAll(async () => {
  world = await makeWorld();
});
afterAll(() => world.close());

const edit = fc.oneof(
  fc.record({
    do: fc.constant("write"),
    at: fc.nat(SIZE),
    length: fc.integer({ min: 1, max: 2 * MiB }),
    fill: fc.nat(255),
  }),
  fc.record({
    do: fc.constant("punch"),
    at: fc.nat(SIZE),
    length: fc.integer({ min: 1, max: 2 * MiB }),
    fill: fc.constant(0),
  }),
  fc.record({
    do: fc.constant("size"),
    at: fc.constant(0),
    length: fc.integer({ min: 1, max: SIZE }),
    fill: fc.constant(0),
  }),
);
/** what is done before a version is taken, whether the parent's snapshot is still there, and whether it is collected */
const round = fc.record({ edits: fc.array(edit, { maxLength: 4 }), parentHere: fc.boolean(), collect: fc.boolean() });

function perform(path: string, edits: { do: string; at: number; length: number; fill: number }[]): void {
  for (const { do: deed, at, length, fill } of edits) {
    if (deed === "size") {
      truncateSync(path, length);
      continue;
    }
    const fd = openSync(path, "r+");
    if (deed === "punch") punchHole(fd, at, length);
    else writeSync(fd, Buffer.alloc(length, fill), 0, length, at);
    closeSync(fd);
  }
}

test("every version of any history is restored as it was, from nothing and from any other version", {
  timeout: 240_000,
}, async () => {
  let histories = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 5 }), async (rounds) => {
      const name = (what: string | number) => world.at(`h${histories}-${what}`);
      histories++;
      const live = name("live");
      writeFileSync(live, "x");
      const versions: { manifest: Manifest; path: string }[] = [];
      for (const [number, { edits, parentHere, collect }] of rounds.entries()) {
        perform(live, edits);
        const path = name(number);
        world.store.clone(live, path);
        const parent = versions.at(-1);
        const known = parent && { manifest: parent.manifest, path: parentHere ? parent.path : undefined };
        const version = await upload(path, known, world.index, world.ctx);
        // Without a new version the old one has to be it.
        if (version) world.index.commit(version.stored);
        versions.push({ manifest: version?.manifest ?? (parent as { manifest: Manifest }).manifest, path });
        if (collect && version) for (const { hash } of version.stored.slice(0, 1)) world.index.collect(hash);
      }
      for (const [number, { manifest, path }] of versions.entries()) {
        const near = versions[(number * 7 + 3) % versions.length];
        for (const from of [undefined, near]) {
          await restore(manifest, name("restored"), from, world.ctx);
          await run("cmp", [path, name("restored")]);
        }
      }
      await run("sh", ["-c", `rm ${name("")}*`]);
      expect(versions).toHaveLength(rounds.length);
    }),
    { numRuns: 60 },
  );
});
