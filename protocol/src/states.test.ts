import { expect, test } from "vitest";
import { can, finalStatuses, isFinal, jobStatuses, jobVerbs } from "./states.ts";

test("nothing can be done with a final job; with any other everything but putting away a machine that is not up", () => {
  for (const verb of Object.keys(jobVerbs) as (keyof typeof jobVerbs)[])
    for (const status of jobStatuses) {
      const up = verb !== "sleep" || (status !== "accepted" && status !== "starting");
      expect(can(verb, status), `${verb} ${status}`).toBe(!isFinal(status) && up);
    }
});

test("the final states are the last three of all", () => {
  expect(jobStatuses.slice(-3)).toEqual(finalStatuses);
});
