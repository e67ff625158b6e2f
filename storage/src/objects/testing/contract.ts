import { randomBytes } from "node:crypto";
import { inParallel, spawn } from "@mags/kit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type ObjectError, type ObjectStore, type ObjectStoreOptions, openObjectStore } from "../index.ts";

/** What a kind of store gives to be held to the contract. */
export interface StoreUnderTest {
  /** options of a store that is empty, another one each time */
  fresh(): ObjectStoreOptions;
  remove(): Promise<void>;
}

const MIB = 1024 * 1024;
const WRONG_PREFIXES = ["/", "/a", "a//b", "a/../b", "./a", "ä", "a b", "a\n", "a=", "a\0", "a\\b"];

/** What every object store promises, whatever it is made of. */
export function objectStoreContract(name: string, setUp: () => Promise<StoreUnderTest>): void {
  describe(name, () => {
    let subject: StoreUnderTest;
    let options: ObjectStoreOptions;
    let store: ObjectStore;
    const opened: ObjectStore[] = [];

    const open = async (): Promise<ObjectStore> => {
      const another = await openObjectStore(options);
      opened.push(another);
      return another;
    };
    const renew = async () => {
      options = subject.fresh();
      store = await open();
      await store.check();
    };
    beforeAll(async () => {
      subject = await setUp();
      await renew();
    });
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((each) => each.close()));
      await renew();
    });
    afterAll(async () => {
      await Promise.all(opened.map((each) => each.close()));
      await subject.remove();
    });

    test("what was put is what is got, also when it is empty, large or of any byte", async () => {
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
      for (const body of [Buffer.alloc(0), bytes, randomBytes(8 * MIB)]) {
        expect(await store.put("object", body)).toBe("stored");
        expect(await store.has("object")).toBe(true);
        const got = await store.get("object");
        expect(got).toBeInstanceOf(Buffer);
        expect(got.equals(body)).toBe(true);
        expect(await all("object")).toEqual([{ key: "object", bytes: body.length, modified: expect.any(Date) }]);
      }
    });

    test("a view of a larger buffer is put as what it shows", async () => {
      await store.put("view", new Uint8Array(Buffer.from("before-inside-after").buffer.slice(0)).subarray(0, 0));
      expect(await store.get("view")).toHaveLength(0);
      const whole = new TextEncoder().encode("before-inside-after");
      await store.put("view", whole.subarray(7, 13));
      expect(String(await store.get("view"))).toBe("inside");
    });

    test("an object that was never put is not there", async () => {
      expect(await store.has("missing")).toBe(false);
      await expect(store.get("missing")).rejects.toMatchObject({ code: "not_found", retryable: false });
      await store.put("missing/below", Buffer.from("x"));
      expect(await store.has("missing")).toBe(false);
      await expect(store.get("missing")).rejects.toMatchObject({ code: "not_found" });
      expect(await keys("missing-no")).toEqual([]);
      expect(await keys("no/such/place/")).toEqual([]);
    });

    test("the time of an object is about now", async () => {
      await store.put("now", Buffer.from("x"));
      const [entry] = await all("now");
      expect(Math.abs((entry?.modified.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
    });

    test("a second put replaces the first", async () => {
      await store.put("a/b", Buffer.from("a long first body"));
      expect(await store.put("a/b", Buffer.from("second"))).toBe("stored");
      expect(String(await store.get("a/b"))).toBe("second");
    });

    test("a conditional put leaves what is there", async () => {
      expect(await store.put("once", Buffer.from("first"), { ifAbsent: true })).toBe("stored");
      expect(await store.put("once", randomBytes(8 * MIB), { ifAbsent: true })).toBe("present");
      expect(String(await store.get("once"))).toBe("first");
      await store.delete(["once"]);
      expect(await store.put("once", Buffer.from("third"), { ifAbsent: true })).toBe("stored");
      expect(String(await store.get("once"))).toBe("third");
    });

    test("of 20 conditional puts at a time, from four processes, one wins", async () => {
      for (const round of ["race/a", "race/b", "race/c"]) {
        const wins = await race(options, round, 4, 5);
        expect(wins).toHaveLength(1);
        expect(String(await store.get(round))).toBe(wins[0]);
      }
    });

    test("keys that begin with one another are different objects", async () => {
      const nested = ["a", "a-b", "a.b", "a/b", "a/b/c", "a/b_", "a0", "ab", "A"];
      for (const key of nested) await store.put(key, Buffer.from(key));
      for (const key of nested) expect(String(await store.get(key))).toBe(key);
      expect(await keys("")).toEqual([...nested].sort());
      expect(await keys("a/")).toEqual(["a/b", "a/b/c", "a/b_"]);
      expect(await keys("a/b")).toEqual(["a/b", "a/b/c", "a/b_"]);
      await store.delete(["a/b", "a"]);
      expect(await keys("a/")).toEqual(["a/b/c", "a/b_"]);
      expect(String(await store.get("a/b/c"))).toBe("a/b/c");
    });

    test("2,500 objects are listed in order, each once, and deleted at once", async () => {
      const names = Array.from({ length: 2500 }, (_, i) => `many/${(i * 7919) % 50}/${i}`);
      await inParallel(32, names, (key) => store.put(key, Buffer.from(key)));
      await store.put("many.more", Buffer.from("x"));
      const listed = await all("many/");
      expect(listed.map(({ key }) => key)).toEqual([...names].sort());
      expect(listed.every(({ key, bytes }) => bytes === key.length)).toBe(true);
      expect(await keys("many/7/1")).toEqual(names.filter((key) => key.startsWith("many/7/1")).sort());
      await store.delete(["many/none", ...names, ...names.slice(0, 3)]);
      expect(await keys("many")).toEqual(["many.more"]);
    }, 240_000);

    test("a listing may be left early", async () => {
      for (const key of ["l/1", "l/2", "l/3"]) await store.put(key, Buffer.from(key));
      for await (const { key } of store.list("l/")) {
        expect(key).toBe("l/1");
        break;
      }
    });

    test("deleting nothing, or what is not there, is no error", async () => {
      await store.delete([]);
      await store.delete(["never", "never/below"]);
    });

    test("an object that is replaced all the time is never seen in part", async () => {
      const body = (fill: number) => Buffer.alloc(fill % 2 ? MIB : 64 * 1024, fill);
      await store.put("hot", body(1));
      let writing = true;
      const writer = (async () => {
        for (let fill = 2; fill < 40; fill++) await store.put("hot", body(fill));
        writing = false;
      })();
      let reads = 0;
      while (writing) {
        const got = await store.get("hot");
        expect(got.equals(body(got[0] ?? 0))).toBe(true);
        reads++;
      }
      await writer;
      expect(reads).toBeGreaterThan(5);
    });

    test("an object put and deleted all the time is there whole or not at all", async () => {
      const body = Buffer.alloc(64 * 1024, 7);
      let writing = true;
      const writers = ["x/y/1", "x/y/2"].map(async (key) => {
        for (let i = 0; i < 40; i++) {
          await store.put(key, body);
          await store.delete([key]);
        }
      });
      const done = Promise.all(writers).finally(() => {
        writing = false;
      });
      while (writing) {
        const got = await store.get("x/y/1").catch((error: ObjectError) => error.code);
        expect(got === "not_found" || body.equals(got as Buffer)).toBe(true);
        for await (const { key, bytes } of store.list("x/")) expect([key, bytes]).toEqual([key, body.length]);
      }
      await done;
      expect(await keys("")).toEqual([]);
    });

    test("what is no key or prefix is refused, with what a key is", async () => {
      const refused = { name: "ObjectError", code: "invalid", retryable: false, hint: expect.stringContaining("Keys") };
      for (const key of [...WRONG_PREFIXES, "", "a/", ".", "..", "a/.", "x".repeat(201), `${"x/".repeat(256)}x`]) {
        await expect(store.get(key), key).rejects.toMatchObject(refused);
        await expect(store.put(key, Buffer.from("x")), key).rejects.toMatchObject(refused);
        await expect(store.has(key), key).rejects.toMatchObject(refused);
        await expect(store.delete(["fine", key]), key).rejects.toMatchObject(refused);
      }
      for (const prefix of [...WRONG_PREFIXES, "../", "./"]) {
        await expect(keys(prefix), prefix).rejects.toMatchObject({ name: "ObjectError", code: "invalid" });
      }
    });

    test("keys with dots and of the greatest length are fine", async () => {
      const long = `${"x".repeat(200)}/${"y".repeat(200)}/${"z".repeat(110)}`;
      for (const key of ["...", ".hidden/..x", "-", long]) {
        await store.put(key, Buffer.from(key));
        expect(String(await store.get(key))).toBe(key);
      }
      expect(await keys(".")).toEqual(["...", ".hidden/..x"]);
      expect(await keys("")).toHaveLength(4);
    });

    test("a signal that has fired stops a call before it starts, and one that fires ends it at once", async () => {
      await store.put("there", Buffer.from("x"));
      const signal = AbortSignal.abort();
      const aborted = { name: "ObjectError", code: "aborted", retryable: false };
      await expect(store.get("there", { signal })).rejects.toMatchObject(aborted);
      await expect(store.put("not-there", Buffer.from("x"), { signal })).rejects.toMatchObject(aborted);
      expect(await store.has("not-there")).toBe(false);
      const late = new AbortController();
      const put = store.put("there", randomBytes(8 * MIB), { signal: late.signal });
      late.abort();
      await expect(put).rejects.toMatchObject(aborted);
    });

    test("check leaves nothing behind, and may be called again", async () => {
      await store.check();
      expect(await keys("")).toEqual([]);
    });

    async function all(prefix: string) {
      const found: { key: string; bytes: number; modified: Date }[] = [];
      for await (const entry of store.list(prefix)) found.push(entry);
      return found;
    }

    async function keys(prefix: string): Promise<string[]> {
      return (await all(prefix)).map(({ key }) => key);
    }
  });
}

/** Lets `processes` × `writers` put `key` at a time if it is absent; the bodies of those that were told "stored". */
async function race(options: ObjectStoreOptions, key: string, processes: number, writers: number): Promise<string[]> {
  const racer = new URL("./racer.ts", import.meta.url).pathname;
  const running = Array.from({ length: processes }, () =>
    spawn(process.execPath, [racer, key, String(writers)], { env: { RACER_OPTIONS: JSON.stringify(options) } }),
  );
  // All wait for the start, so that none has finished when the last is ready.
  await Promise.all(running.map((each) => new Promise((resolve) => each.stdout.once("data", resolve))));
  for (const each of running) each.stdin.end("go\n");
  const outputs = await Promise.all(running);
  return outputs.flatMap(({ stdout }) => stdout.split("\n").filter((line) => line !== "ready" && line !== ""));
}
