import { DirectoryObjectStore } from "./directory.ts";
import { ObjectStoreOptions } from "./options.ts";
import type { ObjectStore } from "./store.ts";

export { ObjectStoreOptions } from "./options.ts";
export { checkSignal, ObjectError, type ObjectStore } from "./store.ts";

/**
 * Opens the store that `options` describe, without touching it yet: call `check` once before anything else. Throws a
 * ZodError when the options are wrong.
 */
export async function openObjectStore(options: ObjectStoreOptions): Promise<ObjectStore> {
  const parsed = ObjectStoreOptions.parse(options);
  if (parsed.kind === "directory") return new DirectoryObjectStore(parsed.path);
  // Loaded when wanted: the SDK costs time and memory that a store in a directory has no use for.
  const { S3ObjectStore } = await import("./s3.ts");
  return new S3ObjectStore(parsed);
}
