export {
  type ListOptions,
  Mags,
  type MagsOptions,
  type PoolStatus,
  type RunOptions,
  type RunResult,
  type WaitOptions,
} from "./client.ts";
export { MagsError } from "./errors.ts";
export type { Upload } from "./files.ts";
export { entryBytes, type Followed } from "./follow.ts";
export type { CallSettings } from "./http.ts";
