import type { OrganisationQuota } from "@mags/protocol";
import { bytes } from "../../ui/format.ts";

interface Limit {
  key: keyof OrganisationQuota["limits"];
  name: string;
  show: (value: number) => string;
  /** in which it is set */
  unit: string;
  /** of the unit, in what the server counts */
  factor: number;
}

const count = (value: number) => new Intl.NumberFormat("en").format(Math.round(value * 100) / 100);
const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** All that is limited, in the order in which it is shown. */
export const LIMITS: readonly Limit[] = [
  { key: "sandboxes", name: "Machines up", show: count, unit: "machines", factor: 1 },
  { key: "vcpus", name: "CPUs", show: count, unit: "CPUs", factor: 1 },
  { key: "memory_mb", name: "Memory", show: (value) => bytes(value * MIB), unit: "GiB", factor: 1024 },
  { key: "jobs_per_minute", name: "Jobs a minute", show: count, unit: "jobs", factor: 1 },
  { key: "workspaces", name: "Workspaces", show: count, unit: "workspaces", factor: 1 },
  { key: "stored_bytes", name: "Stored", show: bytes, unit: "GiB", factor: GIB },
];
