import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cleanup, createLogger, mountImage, unmount } from "@mags/kit";
import { type ObjectStore, openObjectStore } from "../../objects/index.ts";
import { ReflinkStore, Templates } from "../../volumes/index.ts";
import type { VersionContext } from "../context.ts";
import { MemoryIndex } from "./memory-index.ts";

/** A machine with volumes and a place for objects: a directory, or what `objects` opens. */
export interface World {
  dir: string;
  store: ReflinkStore;
  templates: Templates;
  index: MemoryIndex;
  ctx: VersionContext;
  /** path of a file in the store of volumes */
  at(name: string): string;
  /** mounts a volume until the end; answers where */
  mount(volume: string): Promise<string>;
  unmount(target: string): void;
  close(): Promise<void>;
}

export async function makeWorld(objects?: ObjectStore): Promise<World> {
  const cleanup = new Cleanup();
  const dir = await mkdtemp(join(tmpdir(), "mags-versions-"));
  cleanup.add("directory", () => rm(dir, { recursive: true }));
  const store = await ReflinkStore.open({ dir, logger: createLogger("silent"), firstBytes: 4 * 1024 ** 3 });
  cleanup.add("store", () => store.close());
  const opened = objects ?? (await openObjectStore({ kind: "directory", path: join(dir, "objects") }));
  await opened.check();
  let mounts = 0;
  const mount = async (volume: string) => {
    const target = join(dir, `mnt-${mounts++}`);
    await mkdir(target);
    mountImage("ext4", volume, target);
    cleanup.add("mount", () => unmount(target));
    return target;
  };
  return {
    dir,
    store,
    templates: new Templates(store),
    index: new MemoryIndex(),
    ctx: { objects: opened, org: "default", attempts: 1 },
    at: (name) => join(store.path, name),
    mount,
    unmount,
    close: () => cleanup.run(),
  };
}
