export {
  type CallSettings,
  type ListOptions,
  Mags,
  type MagsOptions,
  type PoolStatus,
  type RunOptions,
  type RunResult,
  type WaitOptions,
} from "./client.ts";
export { MagsError } from "./errors.ts";
export { entryBytes, type Followed } from "./follow.ts";
