export { exportExt4, importExt4 } from "./ext4.ts";
export type { ExportManifest } from "./meter.ts";
export { exportOci } from "./oci.ts";
export { importOci } from "./oci-import.ts";
export { SCRATCH } from "./scratch.ts";
export { exportTar, importTar } from "./tar.ts";
