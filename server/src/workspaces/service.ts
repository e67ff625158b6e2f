export { hasVolume, type JobDisk, Leases } from "./leases.ts";
export { Ledger } from "./ledger.ts";
