import pc from "picocolors";
import { coloursWanted } from "../config.ts";

const on = (stream: { isTTY?: boolean }) => pc.createColors(coloursWanted && stream.isTTY === true);

/** Colours for standard output and for standard error, which may be different places; none outside of a terminal. */
export const out = on(process.stdout);
export const err = on(process.stderr);
