import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CreateJob, jobLimits, scriptSeconds, UpdateJob } from "./api/jobs.ts";
import { LogCursor } from "./api/logs.ts";

const fieldsOf = (input: unknown): string[] => {
  const parsed = CreateJob.safeParse(input);
  return parsed.success ? [] : parsed.error.issues.map((issue) => issue.path.join("."));
};

describe("a job request", () => {
  test("needs a script alone; the rest has defaults", () => {
    expect(CreateJob.parse({ script: "true" })).toMatchObject({
      type: "inline",
      persistent: false,
      environment: {},
      vcpus: jobLimits.vcpusDefault,
      memory_mb: jobLimits.memoryMbDefault,
      disk_gb: jobLimits.diskGbDefault,
    });
  });

  test("limits its script unless it is persistent, whose script may be a server", () => {
    const limit = (more: object) => scriptSeconds(CreateJob.parse({ script: "true", ...more }));
    expect(limit({})).toBe(jobLimits.timeoutDefault);
    expect(limit({ persistent: true })).toBeNull();
    expect(limit({ persistent: true, timeout: 7 })).toBe(7);
  });

  test("is the same however often it is parsed", () => {
    const request = fc.record(
      {
        script: fc.string({ minLength: 1 }).filter((text) => !text.includes("\0")),
        timeout: fc.integer({ min: 1, max: jobLimits.timeoutMax }),
        memory_mb: fc.integer({ min: jobLimits.memoryMbMin, max: jobLimits.memoryMbMax }),
        persistent: fc.boolean(),
        environment: fc.dictionary(fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/), fc.stringMatching(/^[^\0]*$/)),
      },
      { requiredKeys: ["script"] },
    );
    fc.assert(
      fc.property(request, (input) => {
        const once = CreateJob.parse(input);
        expect(CreateJob.parse(once)).toEqual(once);
      }),
    );
  });

  test("counts its script in bytes, not in characters", () => {
    const fits = "é".repeat(jobLimits.scriptBytes / 2);
    expect(fieldsOf({ script: fits })).toEqual([]);
    expect(fieldsOf({ script: `${fits}é` })).toEqual(["script"]);
  });

  test("with a wrong field never passes, whatever is in it", () => {
    const numbers = ["timeout", "memory_mb", "vcpus", "disk_gb"];
    const bad = fc.oneof(fc.string(), fc.constant(null), fc.boolean(), fc.constant(Number.NaN), fc.constant(-1));
    fc.assert(
      fc.property(fc.constantFrom(...numbers), bad, (field, value) => {
        expect(fieldsOf({ script: "true", [field]: value })).toEqual([field]);
      }),
    );
  });

  test("names the variable that is wrong", () => {
    expect(fieldsOf({ script: "true", environment: { GOOD: "x", "1BAD": "y" } })).toEqual(["environment.1BAD"]);
    expect(fieldsOf({ script: "true", environment: { A: "x\0y" } })).toEqual(["environment.A"]);
    const many = Object.fromEntries(Array.from({ length: 257 }, (_, number) => [`V${number}`, ""]));
    expect(fieldsOf({ script: "true", environment: many })).toEqual(["environment"]);
  });

  test("cannot contradict itself", () => {
    expect(fieldsOf({ script: "true", no_sleep: true })).toEqual(["no_sleep"]);
    expect(fieldsOf({ script: "true", ephemeral: true, persistent: true })).toEqual(["ephemeral"]);
  });
});

test("a change names something that can be changed", () => {
  expect(UpdateJob.safeParse({}).success).toBe(false);
  expect(UpdateJob.safeParse({ script: "true" }).success).toBe(false);
  expect(UpdateJob.parse({ startup_command: null })).toEqual({ startup_command: null });
});

test("a cursor is three positions", () => {
  for (const good of ["0.0.0", "12.0.40"]) expect(LogCursor.safeParse(good).success, good).toBe(true);
  for (const bad of ["", "1", "1.2", "1.2.3.4", "-1.0.0", "1.2.x", "1.2.3\n", "9".repeat(16)])
    expect(LogCursor.safeParse(bad).success, bad).toBe(false);
});
