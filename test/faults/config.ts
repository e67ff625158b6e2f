/** Settings of the fault suite; `npm run test:faults` asks for the long form. */
export const faults = Number(process.env.MAGS_FAULTS || 10);
/** repeats the order of faults and their moments; each run prints its own */
export const seed = Number(process.env.MAGS_FAULTS_SEED || Math.floor(Math.random() * 2 ** 31));
/** only kinds whose name has this in it */
export const only = process.env.MAGS_FAULTS_ONLY || "";
/** no round is begun later than this, so that a long form can be ended by the clock, `ms` */
export const mostMs = Number(process.env.MAGS_FAULTS_MINUTES || 24 * 60) * 60_000;
/** how long PostgreSQL is stopped, `ms` */
export const databaseStopMs = faults > 10 ? 30_000 : 4000;
