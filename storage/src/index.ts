export * from "./exchange/index.ts";
export * from "./logs/index.ts";
export { ObjectError, type ObjectStore, ObjectStoreOptions, openObjectStore } from "./objects/index.ts";
export * from "./versions/index.ts";
export * from "./volumes/index.ts";
