import { randomBytes } from "node:crypto";
import { ObjectError, type ObjectStore } from "./store.ts";

const PROBE_BYTES = 64;

/** Does once with a small object all that a store has to be able to do. Throws ObjectError. */
export async function probe(store: ObjectStore): Promise<void> {
  const key = `check/${randomBytes(12).toString("hex")}`;
  const [first, second] = [randomBytes(PROBE_BYTES), randomBytes(PROBE_BYTES)];
  const wrong = (what: string, hint: string) => new ObjectError("invalid", `${store.description} ${what}`, { hint });
  for await (const _ of store.list(key)) throw wrong("lists an object that was never put", "Look at what serves it.");
  try {
    const answers = [await store.put(key, first, { ifAbsent: true }), await store.put(key, second, { ifAbsent: true })];
    if (answers.join() !== "stored,present" || !first.equals(await store.get(key))) {
      throw wrong(
        "does not keep the first of two conditional writes",
        "Use a server that knows If-None-Match on PUT, or a file system with hard links.",
      );
    }
    const listed: string[] = [];
    for await (const entry of store.list(key)) listed.push(entry.key);
    if (listed.join() !== key) throw wrong("does not list what was just put", "Use a store that is consistent.");
  } finally {
    await store.delete([key]);
  }
}
