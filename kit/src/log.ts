import { pino } from "pino";

export type { Logger } from "pino";

/** Structured logs on stderr, one JSON object a line; stdout stays free for what a person asked for. */
export const createLogger = (level: string) => pino({ level }, pino.destination(2));
