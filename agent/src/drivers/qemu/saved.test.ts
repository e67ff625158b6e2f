import { mkdtemp, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createLogger } from "@mags/kit";
import { ReflinkStore } from "@mags/storage";
import { expect, test } from "vitest";
import { readImage } from "../../images/index.ts";
import { imageDir } from "../../sandbox/testing/config.ts";
import { type Boot, SAVED_MACHINES, SavedMachines } from "./saved.ts";
import { openTestDrivers } from "./testing.ts";

const SIZE = { vcpus: 1, memoryMb: 128, diskGb: 0.2 };

test("where a machine could not be saved it is tried again later, and one whose description is torn is saved anew", async () => {
  const dir = await mkdtemp("/tmp/mags-saved-");
  const logger = createLogger("silent");
  const store = await ReflinkStore.open({ dir: join(dir, "store"), logger });
  try {
    const image = await readImage(imageDir, "base");
    const boot: Boot = ({ state }) => writeFile(state, "its devices");
    const get = (machines: SavedMachines) => machines.get("made", image, SIZE, boot);
    const machines = new SavedMachines(store, logger, 200);
    // Nothing can be written there.
    const place = join(store.path, SAVED_MACHINES);
    await writeFile(place, "");
    expect(await get(machines)).toBeUndefined();
    await rm(place);
    expect(await get(machines)).toBeUndefined();
    await expect.poll(() => get(machines), { timeout: 10_000 }).toBeDefined();
    const saved = await get(machines);
    const [name = ""] = await readdir(place);
    await truncate(join(place, name, "saved.json"), 0);
    const again = await get(new SavedMachines(store, logger));
    expect(again?.memory).toBe(saved?.memory);
    expect(again?.key).not.toEqual(saved?.key);
  } finally {
    await store.close();
    await rm(dir, { recursive: true, force: true });
  }
});

test("a saved machine that has lost its state is removed, and the one that was to begin with it boots", async () => {
  const drivers = await openTestDrivers();
  const image = await readImage(imageDir, "base");
  const place = join(drivers.store.path, SAVED_MACHINES);
  try {
    const first = await drivers.open();
    await (await first.create(image, SIZE)).destroy();
    const [name = ""] = await readdir(place);
    await truncate(join(place, name, "state"), 0);
    const successor = await drivers.open();
    const sandbox = await successor.create(image, SIZE);
    expect(sandbox.isRunning()).toBe(true);
    expect(await readdir(place)).toEqual([]);
    await sandbox.destroy();
    expect(await successor.reclaim(new Set())).toBe(0);
  } finally {
    await drivers.close();
  }
});
