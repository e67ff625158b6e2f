/** Settings of the property tests; `npm run test:property` asks for the long form. */
export const rounds = Number(process.env.MAGS_PROPERTY_ROUNDS || 4);
/** repeats a run; each run prints its own */
export const seed = Number(process.env.MAGS_PROPERTY_SEED || Math.floor(Math.random() * 2 ** 31));
