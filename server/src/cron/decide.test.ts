import { describe, expect, it } from "vitest";
import { decideDue, decideOverlap, decideResult, decideRetry } from "./decide.ts";
import { readSchedule, refuseRhythm } from "./schedule.ts";

const at = (time: string) => new Date(`2026-01-01T${time}Z`);
const times = (dates: Date[]) => dates.map((date) => date.toISOString().slice(0, 19));
const minutely = readSchedule("* * * * *", "UTC");

describe("a schedule that is due", () => {
  const due = (missed: "skip" | "run_once" | "catch_up", nextAt: string, now: string, catchUp = 3) => {
    const { fire, dropped, nextAt: next } = decideDue(minutely, { nextAt: at(nextAt), missed, catchUp }, at(now));
    const shown = fire.map(({ at, late }) => `${at.toISOString().slice(11, 16)}${late ? " late" : ""}`);
    return [shown, dropped, next?.toISOString().slice(11, 16)];
  };

  it.each(["skip", "run_once", "catch_up"] as const)("is fired once, whatever the policy: %s", (missed) => {
    expect(due(missed, "10:00:00", "10:00:00.200")).toEqual([["10:00"], 0, "10:01"]);
    expect(due(missed, "10:00:00", "10:00:59.900")).toEqual([["10:00"], 0, "10:01"]);
  });

  it("after a night without servers goes by its policy", () => {
    expect(due("skip", "02:00:00", "02:10:30")).toEqual([["02:10"], 10, "02:11"]);
    expect(due("run_once", "02:00:00", "02:10:30")).toEqual([["02:10"], 10, "02:11"]);
    expect(due("catch_up", "02:00:00", "02:10:30")).toEqual([
      ["02:07 late", "02:08 late", "02:09 late", "02:10"],
      7,
      "02:11",
    ]);
  });

  it("a missed rare one is made good once, or not at all", () => {
    const daily = readSchedule("0 3 * * *", "UTC");
    const decide = (missed: "skip" | "run_once") =>
      decideDue(daily, { nextAt: at("03:00:00"), missed, catchUp: 1 }, at("09:00:00"));
    expect(decide("skip")).toMatchObject({ fire: [], dropped: 1 });
    expect(decide("run_once")).toMatchObject({ fire: [{ at: at("03:00:00"), late: true }], dropped: 0 });
  });

  it("goes by its row, also where the expression has been read differently since", () => {
    expect(due("run_once", "10:00:17", "10:00:30")).toEqual([["10:00"], 0, "10:01"]);
  });
});

describe("a firing while another goes on", () => {
  const busy = { started: 1, queued: 0 };
  const decide = (policy: "skip" | "queue" | "allow", open = busy, late = false) =>
    decideOverlap(policy, open, { late, queuedMax: 2 }).action;

  it("goes by the policy", () => {
    expect([decide("skip"), decide("queue"), decide("allow")]).toEqual(["skip", "queue", "start"]);
    for (const policy of ["skip", "queue", "allow"] as const)
      expect(decide(policy, { started: 0, queued: 0 })).toBe("start");
  });
  it("waits its turn behind others, a bounded number of them", () => {
    expect(decide("queue", { started: 0, queued: 1 })).toBe("queue");
    expect(decide("queue", { started: 1, queued: 2 })).toBe("skip");
  });
  it("that makes a missed one good is never dropped", () => {
    expect(decide("skip", busy, true)).toBe("queue");
    expect(decide("queue", { started: 1, queued: 50 }, true)).toBe("queue");
  });
});

it("a run ends as its job did, and is tried again where that may help", () => {
  const job = { status: "completed", exitCode: 0, error: null } as const;
  expect(decideResult(job).state).toBe("succeeded");
  expect(decideResult({ ...job, status: "running" }).state).toBe("succeeded");
  expect(decideResult({ ...job, exitCode: 3 })).toEqual({
    state: "failed",
    reason: "the script ended with exit code 3",
  });
  expect(decideResult({ status: "error", exitCode: null, error: "node lost" })).toEqual({
    state: "failed",
    reason: "node lost",
  });
  expect(decideResult(undefined).state).toBe("failed");
  const failed = { state: "failed", attempt: 0, stopped: false } as const;
  expect(decideRetry(failed, { retries: 1, enabled: true })).toBe(true);
  expect(decideRetry({ ...failed, attempt: 1 }, { retries: 1, enabled: true })).toBe(false);
  expect(decideRetry({ ...failed, stopped: true }, { retries: 1, enabled: true })).toBe(false);
  expect(decideRetry(failed, { retries: 1, enabled: false })).toBe(false);
  expect(decideRetry({ ...failed, state: "succeeded" }, { retries: 1, enabled: true })).toBe(false);
});

describe("an expression", () => {
  const next = (expression: string, zone: string, from: string, count = 3) =>
    times(readSchedule(expression, zone).nextRuns(count, new Date(from)));

  it("goes by the clock of its zone, through the changes of the clock", () => {
    expect(next("0 9 * * MON-FRI", "America/New_York", "2026-11-25T20:00:00Z", 2)).toEqual([
      "2026-11-26T14:00:00",
      "2026-11-27T14:00:00",
    ]);
    // 2:30 does not exist on 29 March: the first valid moment; on 25 October it exists twice: once.
    expect(next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2)).toEqual([
      "2026-03-29T01:00:00",
      "2026-03-30T00:30:00",
    ]);
    expect(next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2)).toEqual([
      "2026-10-25T00:30:00",
      "2026-10-26T01:30:00",
    ]);
    expect(next("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 3)).toEqual([
      "2026-10-25T00:00:00",
      "2026-10-25T01:00:00",
      "2026-10-25T02:00:00",
    ]);
  });

  it("may be a name, and have seconds", () => {
    expect(next("@daily", "UTC", "2026-01-01T05:00:00Z", 1)).toEqual(["2026-01-02T00:00:00"]);
    expect(next("@hourly", "UTC", "2026-01-01T05:00:00Z", 1)).toEqual(["2026-01-01T06:00:00"]);
    expect(next("15 * * * * *", "UTC", "2026-01-01T05:00:00Z", 1)).toEqual(["2026-01-01T05:00:15"]);
  });

  it("finds what was due, its own time included", () => {
    expect(times(minutely.lastRuns(2, at("10:00:00")))).toEqual(["2026-01-01T09:59:00", "2026-01-01T10:00:00"]);
    const secondly = readSchedule("* * * * * *", "UTC");
    expect(times(secondly.lastRuns(3, at("10:00:01.500"))).at(-1)).toBe("2026-01-01T10:00:01");
  });

  it.each([
    ["0 0 31 2 *", "31 February"],
    ["0 0 31 2,4,6,9,11 *", "31 February"],
    ["* * * * * *", "fires twice within 1 s"],
    ["0,30 * * * * *", "fires twice within 30 s"],
    ["60 * * * *", "minute"],
    ["* * * *", "five fields"],
    ["hello", "five fields"],
    ["@reboot", "no schedule"],
    ["@every", "no schedule"],
    ["2030-01-01T00:00:00", "five fields"],
    ["0 0 * * * * 2030", "five fields"],
    ["; rm -rf / #", "no schedule"],
    ["*/0 * * * *", "no schedule"],
  ])("%s is refused, and the message says why", (expression, says) => {
    const refuse = () => refuseRhythm(readSchedule(expression, "UTC"), at("00:00:00"), 60);
    expect(refuse).toThrow(says);
    expect(refuse).toThrow(/^cron_expression /);
  });

  it("in a zone that nobody knows is refused", () => {
    expect(() => readSchedule("* * * * *", "Europe/Atlantis")).toThrow(/time_zone must be an IANA name/);
  });
});
