export * from "./api/files.ts";
export * from "./api/jobs.ts";
export * from "./api/logs.ts";
export * from "./errors.ts";
export * from "./node.ts";
export * from "./node-files.ts";
export * from "./node-volumes.ts";
export * from "./states.ts";
