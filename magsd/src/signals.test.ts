import { setTimeout as delay } from "node:timers/promises";
import { spawn } from "@mags/kit";
import { expect, test } from "vitest";
import { within } from "./signals.ts";

const SIGNALS = new URL("signals.ts", import.meta.url).href;
/** A daemon whose stop takes a while, and that says when it listens and when it was told. */
const DAEMON = `import { stopSignal } from ${JSON.stringify(SIGNALS)};
  const stopped = stopSignal();
  const hold = setTimeout(() => {}, 20000);
  console.log("up");
  console.log(await stopped);
  setTimeout(() => { clearTimeout(hold); console.log("drained"); }, 1500);`;

async function daemon() {
  const child = spawn(process.execPath, ["--input-type=module", "-e", DAEMON], { reject: false });
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  // Wrapped, because a child is itself a promise of its end.
  return { child };
}

test("the first signal lets it end in order, with exit code 0", async () => {
  const { child } = await daemon();
  child.kill("SIGTERM");
  expect(await child).toMatchObject({ exitCode: 0, stdout: "up\nSIGTERM\ndrained" });
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("a second one, %s, ends it at once with %d", async (signal, code) => {
  const { child } = await daemon();
  child.kill("SIGINT");
  await delay(700);
  child.kill(signal);
  expect(await child).toMatchObject({ exitCode: code, stdout: "up\nSIGINT" });
});

test("the same key press twice counts once", async () => {
  const { child } = await daemon();
  child.kill("SIGINT");
  await delay(50);
  child.kill("SIGINT");
  expect(await child).toMatchObject({ exitCode: 0, stdout: "up\nSIGINT\ndrained" });
});

test("what takes longer than it may is an error that names it", async () => {
  expect(await within(1, "stopping", Promise.resolve(7))).toBe(7);
  await expect(within(0.01, "stopping", delay(500))).rejects.toThrow("stopping took longer than 0.01 s");
});
