import { describe, expect, it } from "vitest";
import { expired, refuseRemoval, refuseRollBack, waitReason } from "./decide.ts";

const now = new Date("2026-03-10T12:00:00Z");
const version = (number: number, created: string) => ({ id: `v${number}`, number, created_at: new Date(created) });

describe("retention", () => {
  const versions = [
    version(1, "2026-03-01T10:00:00Z"),
    version(2, "2026-03-08T10:00:00Z"),
    version(3, "2026-03-08T23:59:59Z"),
    version(4, "2026-03-09T00:00:01Z"),
    version(5, "2026-03-10T11:00:00Z"),
    version(6, "2026-03-10T11:30:00Z"),
  ];
  it.each([
    ["the last ones", { keepLast: 2, keepDays: 0 }, ["v4", "v3", "v2", "v1"]],
    ["the last of each day as well", { keepLast: 1, keepDays: 3 }, ["v5", "v2", "v1"]],
    ["days further back", { keepLast: 1, keepDays: 30 }, ["v5", "v2"]],
    ["at least the latest, whatever is asked for", { keepLast: 0, keepDays: 0 }, ["v5", "v4", "v3", "v2", "v1"]],
    ["all where there are few", { keepLast: 6, keepDays: 0 }, []],
  ])("keeps %s", (_, rules, gone) => {
    expect(expired(versions, now, rules)).toEqual(gone);
    expect(expired(versions.toReversed(), now, rules)).toEqual(gone);
  });
});

describe("who is in the way", () => {
  const free = { name: "ws", holder_job: null, node: "a", dirty: false };
  it.each([
    [free, undefined],
    [{ ...free, holder_job: "j1" }, 'workspace "ws", which j1 has'],
    [{ ...free, dirty: true }, 'workspace "ws": node a has changes that are not durable yet'],
    [{ ...free, node: null, dirty: true }, undefined],
  ])("%o: %s", (workspace, reason) => expect(waitReason(workspace)).toBe(reason));

  it("a roll back is refused for a writer, a machine that starts, and changes that would be lost", () => {
    expect(refuseRollBack(free, [])).toBeUndefined();
    expect(refuseRollBack({ ...free, holder_job: "j1" }, [{ id: "j1" }, { id: "j2" }])).toContain("j1, j2");
    expect(refuseRollBack({ ...free, dirty: true }, [])).toContain("would be lost");
  });

  it("the latest version and a wanted one cannot be removed", () => {
    expect(refuseRemoval({ id: "v2", number: 2 }, "v2", false)).toContain("latest");
    expect(refuseRemoval({ id: "v1", number: 1 }, "v2", true)).toContain("has not started");
    expect(refuseRemoval({ id: "v1", number: 1 }, "v2", false)).toBeUndefined();
  });
});
