import type { UsageFigures } from "@mags/protocol";
import { bytes } from "../../ui/format.ts";

export interface Measure {
  key: keyof UsageFigures;
  name: string;
  /** what it is, for who does not know */
  meaning: string;
  show: (value: number) => string;
}

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const small = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });
const LEAST = 0.001;
const figure = (value: number) =>
  value !== 0 && value < LEAST ? `< ${LEAST}` : (value < 1 ? small : number).format(value);
const HOUR = 3600;

/** All that is measured, in the order in which it is shown. */
export const MEASURES: readonly [Measure, ...Measure[]] = [
  { key: "jobs", name: "Jobs", meaning: "Jobs that were made", show: figure },
  {
    key: "vcpu_seconds",
    name: "CPU hours",
    meaning: "Time that machines were up, times their CPUs",
    show: (value) => figure(value / HOUR),
  },
  {
    key: "gb_seconds",
    name: "GiB hours of memory",
    meaning: "Time that machines were up, times their memory",
    show: (value) => figure(value / HOUR),
  },
  {
    key: "storage_gb_hours",
    name: "GiB hours stored",
    meaning: "Workspaces in the object store, times how long they were there",
    show: figure,
  },
  { key: "egress_bytes", name: "Sent out", meaning: "What machines sent to other hosts", show: bytes },
];
