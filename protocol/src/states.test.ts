import { expect, test } from "vitest";
import { can, finalStatuses, isFinal, jobStatuses, jobVerbs } from "./states.ts";

test("a final job can be neither stopped nor changed, any other can", () => {
  for (const verb of Object.keys(jobVerbs) as (keyof typeof jobVerbs)[])
    for (const status of jobStatuses) expect(can(verb, status), `${verb} ${status}`).toBe(!isFinal(status));
});

test("the final states are the last three of all", () => {
  expect(jobStatuses.slice(-3)).toEqual(finalStatuses);
});
