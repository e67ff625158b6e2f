export { type ListOptions, Mags, type MagsOptions, type RunOptions, type RunResult } from "./client.ts";
export { MagsError } from "./errors.ts";
export { entryBytes, type Followed } from "./follow.ts";
