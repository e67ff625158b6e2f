/** A process of its own that puts one key several times at once, when told to; prints the bodies that were stored. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { openObjectStore } from "../index.ts";

const [key = "", writers = "1"] = process.argv.slice(2);
const store = await openObjectStore(JSON.parse(process.env.RACER_OPTIONS ?? ""));
await store.has(key);
process.stdout.write("ready\n");
await once(process.stdin, "data");
const puts = Array.from({ length: Number(writers) }, async () => {
  const body = randomUUID();
  return (await store.put(key, Buffer.from(body), { ifAbsent: true })) === "stored" ? [body] : [];
});
for (const body of (await Promise.all(puts)).flat()) process.stdout.write(`${body}\n`);
await store.close();
process.stdin.destroy();
