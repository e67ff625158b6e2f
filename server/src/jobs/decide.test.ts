import { finalStatuses, type JobStatus, jobStatuses } from "@mags/protocol";
import { describe, expect, it } from "vitest";
import {
  clockStepped,
  decideAsleep,
  decideLease,
  decideReport,
  decideSleep,
  decideSleepRequest,
  decideStop,
  decideUpdate,
  decideWake,
  finalStatus,
  type JobFacts,
  sweepAllowedFrom,
} from "./decide.ts";

const row = (facts: Partial<JobFacts>): JobFacts => ({
  status: "running",
  attempt: 2,
  reason: null,
  scriptEnded: false,
  leaseUntil: null,
  ...facts,
});

describe("decideReport", () => {
  const table: [string, Partial<JobFacts>, "started" | "script_ended" | "finished" | "slept", number, string][] = [
    ["a start is applied once", { status: "starting" }, "started", 2, "apply"],
    ["a repeated start changes nothing", { status: "running" }, "started", 2, "repeat"],
    ["an old attempt is fenced off", { status: "running" }, "finished", 1, "fenced"],
    ["an attempt never given is fenced off", { status: "running" }, "finished", 3, "fenced"],
    [
      "an old attempt is fenced off after the end too",
      { status: "completed", reason: "exited" },
      "finished",
      1,
      "fenced",
    ],
    ["an end may come before the start was heard", { status: "starting" }, "finished", 2, "apply"],
    ["the end of a persistent job's script", { status: "running" }, "script_ended", 2, "apply"],
    ["the same end again", { status: "running", scriptEnded: true }, "script_ended", 2, "repeat"],
    ["a start after the script's end", { status: "running", scriptEnded: true }, "started", 2, "repeat"],
    ["the machine ends after the script", { status: "running", scriptEnded: true }, "finished", 2, "apply"],
    ["a machine is put away", { status: "running" }, "slept", 2, "apply"],
    ["the same again", { status: "sleeping" }, "slept", 2, "repeat"],
    ["the same again when it is wanted already", { status: "accepted" }, "slept", 2, "repeat"],
    ["the first final reason wins", { status: "stopped", reason: "stopped" }, "finished", 2, "repeat"],
    ["a job given up is not taken back", { status: "error", reason: "node_lost" }, "finished", 2, "fenced"],
  ];
  it.each(table)("%s", (_, facts, event, attempt, expected) => {
    expect(decideReport(row(facts), { event, attempt }).action).toBe(expected);
  });
});

describe("verbs", () => {
  const stops: Record<JobStatus, string> = {
    accepted: "end",
    starting: "ask",
    running: "ask",
    sleeping: "end",
    completed: "refuse",
    error: "refuse",
    stopped: "refuse",
  };
  it.each(jobStatuses)("stop of a job that is %s", (status) => {
    expect(decideStop({ status }).action).toBe(stops[status]);
  });
  it.each(finalStatuses)("a job that is %s cannot be updated, and the reason says so", (status) => {
    expect(decideUpdate({ status, persistent: true }, false)).toEqual({
      action: "refuse",
      reason: `cannot update a job that is ${status}`,
    });
  });
  it("no_sleep is refused for a job that is not persistent", () => {
    expect(decideUpdate({ status: "running", persistent: false }, true).action).toBe("refuse");
    expect(decideUpdate({ status: "running", persistent: true }, true).action).toBe("apply");
  });
});

it.each([
  ["exited", "completed"],
  ["stopped", "stopped"],
  ["timeout", "error"],
  ["node_lost", "error"],
  ["disk_full", "error"],
] as const)("the reason %s means %s", (reason, status) => {
  expect(finalStatus(reason)).toBe(status);
});

describe("decideLease", () => {
  const now = new Date(1_000_000);
  const row = { noSleep: false, stopping: false, retriesLeft: 0, scriptEnded: false };
  it.each([
    ["running", 999_999, {}, "give_up"],
    ["starting", 999_999, {}, "give_up"],
    ["running", 999_999, { noSleep: true }, "restart"],
    ["running", 999_999, { noSleep: true, stopping: true }, "give_up"],
    ["running", 1_000_001, { noSleep: true }, "keep"],
    ["sleeping", 1, {}, "keep"],
    ["accepted", 1, {}, "keep"],
    ["completed", 1, { noSleep: true }, "keep"],
    ["running", 999_999, { retriesLeft: 1 }, "retry"],
    ["starting", 999_999, { retriesLeft: 1 }, "retry"],
    ["running", 1_000_001, { retriesLeft: 1 }, "keep"],
    ["running", 999_999, { retriesLeft: 1, stopping: true }, "give_up"],
    ["running", 999_999, { retriesLeft: 1, scriptEnded: true }, "give_up"],
  ] as const)("%s with a lease until %d, %j: %s", (status, until, facts, expected) => {
    expect(decideLease({ ...row, ...facts, status, leaseUntil: new Date(until) }, now).action).toBe(expected);
  });
});

describe("decideSleep", () => {
  const row = {
    status: "running",
    no_sleep: false,
    idle_minutes: null,
    idle_ms: 600_000,
    sleep: false,
    draining: false,
  } as const;
  it.each([
    [{}, "sleep"],
    [{ idle_ms: 599_999 }, "stay"],
    [{ idle_ms: 0 }, "stay"],
    [{ idle_ms: null }, "stay"],
    [{ idle_minutes: 20 }, "stay"],
    [{ idle_minutes: 0.5, idle_ms: 30_000 }, "sleep"],
    [{ no_sleep: true }, "stay"],
    [{ no_sleep: true, idle_ms: 0, sleep: true }, "sleep"],
    [{ draining: true, idle_ms: 1 }, "sleep"],
    [{ draining: true, idle_ms: 1, no_sleep: true }, "sleep"],
    [{ draining: true, idle_ms: 0 }, "stay"],
    [{ status: "starting", sleep: true }, "stay"],
  ] as const)("%j: %s", (change, expected) => {
    expect(decideSleep({ ...row, ...change }, 10).action).toBe(expected);
  });
});

describe("decideWake", () => {
  it.each([
    ["sleeping", false, "wake"],
    ["accepted", false, "wait"],
    ["starting", false, "wait"],
    ["running", false, "ready"],
    ["running", true, "refuse"],
    ["stopped", false, "refuse"],
    ["completed", false, "refuse"],
  ] as const)("%s, stopping %s: %s", (status, stopping, expected) => {
    expect(decideWake({ status, stopping }).action).toBe(expected);
  });
});

describe("decideAsleep", () => {
  const now = new Date(1_000_000);
  it.each([
    [true, null, 980_000, "it may not sleep"],
    [true, null, 995_000, undefined],
    [true, 990_000, 980_000, undefined],
    [false, null, 980_000, undefined],
  ] as const)("no_sleep %s, asked for at %s, up since %d: %s", (no_sleep, asked, since, expected) => {
    const row = { no_sleep, sleep_requested_at: asked && new Date(asked), activity_since: new Date(since) };
    expect(decideAsleep(row, now)).toBe(expected);
  });
});

describe("decideSleepRequest", () => {
  it.each([
    ["running", true, "ask"],
    ["running", false, "refuse"],
    ["sleeping", true, "asleep"],
    ["accepted", true, "refuse"],
    ["error", true, "refuse"],
  ] as const)("%s, persistent %s: %s", (status, persistent, expected) => {
    expect(decideSleepRequest({ status, persistent }).action).toBe(expected);
  });
});

describe("sweepAllowedFrom", () => {
  const limits = { graceMs: 10_000, gapMs: 3000 };
  it("keeps the time while the ticks come", () => {
    expect(sweepAllowedFrom({ allowedFrom: 10_000, lastTick: 20_000 }, 20_500, limits)).toBe(10_000);
  });
  it("gives the agents grace after a gap in which this server did not run", () => {
    expect(sweepAllowedFrom({ allowedFrom: 10_000, lastTick: 20_000 }, 60_000, limits)).toBe(70_000);
  });
});

describe("clockStepped", () => {
  const before = { wall: 1_000_000, steady: 500 };
  it.each([
    [undefined, { wall: 9_000_000, steady: 900 }, false],
    [before, { wall: 1_000_510, steady: 1000 }, false],
    [before, { wall: 1_030_000, steady: 30_500 }, false],
    [before, { wall: 1_030_000, steady: 1000 }, true],
    [before, { wall: 940_000, steady: 1000 }, true],
  ])("%j, then %j: %s", (previous, now, expected) => {
    expect(clockStepped(previous, now, 2000)).toBe(expected);
  });
});
