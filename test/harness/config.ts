/** Settings of the tests of whole systems. */

/** `npm run test:vm` runs them with virtual machines in place of containers. */
export const inMachines = process.env.MAGS_RUNTIME === "qemu";
/** directory where each daemon's log is kept, for who looks for a cause; none by default */
export const logsDir = process.env.MAGS_TEST_LOGS || "";
