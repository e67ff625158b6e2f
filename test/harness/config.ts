/** Settings of the tests of whole systems. */

/** `npm run test:vm` runs them with virtual machines in place of containers. */
export const inMachines = process.env.MAGS_RUNTIME === "qemu";
