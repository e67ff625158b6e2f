import { ApiError } from "@mags/protocol";
import { Cron } from "croner";

/** Firings that are looked at to find the shortest time between two */
const SAMPLE = 120;
const FIELDS = /^(@\w+|\S+(\s+\S+){4,5})$/;

/**
 * When something is due. Local times that a change of the clock skips or repeats: a schedule of fixed times fires once,
 * at the first valid moment; one of intervals goes by real time.
 */
export interface Schedule {
  /** The first firing after `time`, or null when there is none any more. */
  next(time: Date): Date | null;
  nextRuns(count: number, after: Date): Date[];
  /** The last firings up to `time`, itself included, oldest first. */
  lastRuns(count: number, time: Date): Date[];
}

/** Throws ApiError invalid_request naming cron_expression or time_zone. */
export function readSchedule(expression: string, timeZone: string): Schedule {
  refuseZone(timeZone);
  const cron = parse(expression.trim(), timeZone);
  return {
    next: (time) => cron.nextRun(time),
    nextRuns: (count, after) => cron.nextRuns(count, after),
    // A moment later: croner's "previous" leaves the time itself out.
    lastRuns: (count, time) =>
      cron
        .previousRuns(count, new Date(time.getTime() + 1000))
        .filter((run) => run <= time)
        .reverse(),
  };
}

/** Throws ApiError invalid_request for what never fires after `now`, or fires again within `minSeconds`. */
export function refuseRhythm(schedule: Schedule, now: Date, minSeconds: number): void {
  const runs = schedule.nextRuns(SAMPLE, now);
  if (runs.length === 0) throw wrong("cron_expression", "never fires: there is no such day, as in 31 February");
  const gaps = runs.slice(1).map((run, index) => (run.getTime() - (runs[index]?.getTime() ?? 0)) / 1000);
  const shortest = Math.min(...gaps);
  if (shortest < minSeconds)
    throw wrong(
      "cron_expression",
      `fires twice within ${shortest} s, but this server allows one firing each ${minSeconds} s (MAGS_CRON_MIN_SECONDS)`,
    );
}

function parse(expression: string, timeZone: string): Cron {
  // croner takes single dates, too; those are no schedules.
  if (!FIELDS.test(expression))
    throw wrong("cron_expression", "must have five fields, six with seconds first, or be a name such as @hourly");
  try {
    const options = { mode: "5-or-6-parts", fixedTimeRule: "no-wildcard", timezone: timeZone, paused: true } as const;
    return new Cron(expression, options);
  } catch (error) {
    throw wrong("cron_expression", `is no schedule: ${(error as Error).message.replace(/^CronPattern: /, "")}`);
  }
}

function refuseZone(timeZone: string): void {
  try {
    new Intl.DateTimeFormat("en", { timeZone });
  } catch {
    throw wrong("time_zone", `must be an IANA name such as Europe/Berlin or UTC, but is ${JSON.stringify(timeZone)}`);
  }
}

const wrong = (field: string, problem: string) => new ApiError("invalid_request", `${field} ${problem}`, field);
