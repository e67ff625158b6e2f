export { Collector, type CollectorOptions } from "./collector.ts";
export { Imports } from "./imports.ts";
export { hasVolume, Leases } from "./leases.ts";
export { Ledger } from "./ledger.ts";
export { LiveWorkspaces } from "./live.ts";
export { Quota, type QuotaLimits } from "./quota.ts";
export { readManifest } from "./versions-store.ts";
export { Workspaces } from "./workspaces.ts";
