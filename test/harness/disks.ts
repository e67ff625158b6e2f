import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createLogger } from "@mags/kit";
import { ReflinkStore } from "@mags/storage";

/** Prints the names of sandboxes' disks in the store in the directory given, as JSON. */
const store = await ReflinkStore.open({ dir: process.argv[2] as string, logger: createLogger("silent") });
console.log(JSON.stringify(await readdir(join(store.path, "machines"))));
await store.close();
