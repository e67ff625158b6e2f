/** Settings of the fuzz suite; `npm run test:fuzz` asks for the long form. */
export const cases = Number(process.env.MAGS_FUZZ_CASES || 500);
/** repeats a run; each run prints its own */
export const seed = Number(process.env.MAGS_FUZZ_SEED || Math.floor(Math.random() * 2 ** 31));
