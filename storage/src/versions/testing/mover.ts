/** A process that uploads or restores until it is killed; `MOVER_TASK` says what. */
import { writeSync } from "node:fs";
import { type ObjectStoreOptions, openObjectStore } from "../../objects/index.ts";
import { type Manifest, restore, upload } from "../index.ts";
import { MemoryIndex } from "./memory-index.ts";

export type Task = { objects: ObjectStoreOptions } & (
  | { upload: string }
  | { restore: Manifest; to: string; near?: { manifest: Manifest; path: string } }
);

const task = JSON.parse(process.env.MOVER_TASK ?? "") as Task;
const ctx = {
  objects: await openObjectStore(task.objects),
  org: "default",
  onProgress: () => void writeSync(1, "."),
};
writeSync(1, "ready\n");
if ("upload" in task) await upload(task.upload, undefined, new MemoryIndex(), ctx);
else await restore(task.restore, task.to, task.near, ctx);
writeSync(1, "done\n");
