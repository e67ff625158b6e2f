/** Large files of machines, both ways; `MAGS_TEST_BODY_BYTES` makes them larger than what the daemon may grow by. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { MachineFiles, Mags } from "@mags/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";

const MIB = 1024 * 1024;
const SIZE = Number(process.env.MAGS_TEST_BODY_BYTES ?? 64 * MIB);
/** How often the daemon is looked at while a body passes, and what server and agent may grow by together: garbage that waits. `bytes` */
const LOOK = 16 * MIB;
const GROWTH = 384 * MIB;
const box = "large-box";

let daemon: Daemon;
let mags: Mags;
let files: MachineFiles;

beforeAll(async () => {
  daemon = await Daemon.start();
  mags = await daemon.client();
  const diskGb = Math.max(0.5, Math.ceil((2.2 * SIZE) / 1024 ** 3));
  await mags.runAndWait("true", { name: box, persistent: true, memoryMb: 256, diskGb });
  files = mags.machineFiles(box);
});
afterAll(async () => {
  await mags.stop(box).catch(() => undefined);
  await daemon.remove();
});

const sh = async (command: string) => (await mags.exec(box, command)).stdout;
const leftovers = () => sh("ls -A /root | grep -c '^.mags'");

async function* body(size: number, see: (piece: Uint8Array) => unknown) {
  const piece = Buffer.alloc(256 * 1024);
  for (let at = 0; at < size; at += piece.length) {
    // No two pieces are alike, so that one which is lost, doubled or moved changes the sum.
    piece.fill(createHash("sha512").update(String(at)).digest());
    const part = Buffer.from(piece.subarray(0, Math.min(piece.length, size - at)));
    await see(part);
    yield part;
  }
}

/** Follows what passes: its sum, and the most that the daemon had meanwhile. */
class Watch {
  readonly #hash = createHash("sha256");
  #bytes = 0;
  most = 0;
  async see(piece: Uint8Array): Promise<void> {
    this.#hash.update(piece);
    const before = Math.floor(this.#bytes / LOOK);
    this.#bytes += piece.length;
    if (Math.floor(this.#bytes / LOOK) > before) this.most = Math.max(this.most, await memory());
  }
  get sum() {
    return this.#hash.digest("hex");
  }
}

async function memory(): Promise<number> {
  const status = await readFile(`/proc/${daemon.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

test("a large file passes both ways, the same to the last byte, without being held in memory", {
  timeout: 900_000,
}, async () => {
  const before = await memory();
  const up = new Watch();
  const down = new Watch();
  await files.write(
    "/root/big",
    body(SIZE, (piece) => up.see(piece)),
  );
  for await (const piece of await files.readStream("/root/big")) await down.see(piece);
  const sum = up.sum;
  expect([down.sum, (await mags.exec(box, "sha256sum /root/big", { timeout: 300 })).stdout.slice(0, 64)]).toEqual([
    sum,
    sum,
  ]);
  expect(Math.max(up.most, down.most) - before).toBeLessThan(GROWTH);
});

test("one that is cut off in the middle leaves nothing half, neither written nor read", {
  timeout: 900_000,
}, async () => {
  const sum = await sh("sha256sum /root/big");
  let written = 0;
  const cut = new AbortController();
  const writing = files.write(
    "/root/big",
    body(SIZE, (piece) => {
      written += piece.length;
      if (written > SIZE / 2) cut.abort();
    }),
    { signal: cut.signal },
  );
  await expect(writing).rejects.toThrow();
  while ((await leftovers()) !== "0\n") await delay(100);
  let read = 0;
  for await (const piece of await files.readStream("/root/big")) if ((read += piece.length) > SIZE / 2) break;
  while ((await sh("pgrep -fc '[/]root/big'")) !== "0\n") await delay(100);
  expect([await sh("sha256sum /root/big"), await sh("ls -A /root | grep -c big")]).toEqual([sum, "1\n"]);
});
