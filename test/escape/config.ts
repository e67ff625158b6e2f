/** Settings of the escape suite; `npm run test:escape` asks for the long form. */
export const whole = Boolean(process.env.MAGS_ESCAPE_WHOLE);
/** writes the table of docs/escape.md */
export const updateTable = Boolean(process.env.UPDATE_ESCAPES);
