import { finalStatuses, type JobStatus, jobStatuses } from "@mags/protocol";
import { describe, expect, it } from "vitest";
import {
  decideLease,
  decideReport,
  decideStop,
  decideUpdate,
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
  const table: [string, Partial<JobFacts>, "started" | "script_ended" | "finished", number, string][] = [
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
    sleeping: "ask",
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
  it.each([
    ["running", 999_999, "give_up"],
    ["starting", 999_999, "give_up"],
    ["running", 1_000_001, "keep"],
    ["sleeping", 1, "keep"],
    ["accepted", 1, "keep"],
    ["completed", 1, "keep"],
  ] as const)("%s with a lease until %d: %s", (status, until, expected) => {
    expect(decideLease({ status, leaseUntil: new Date(until) }, now).action).toBe(expected);
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
