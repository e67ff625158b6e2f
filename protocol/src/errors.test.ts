import { expect, test } from "vitest";
import { ApiError, ErrorBody, errors } from "./errors.ts";

test("every error has a status of its kind and a hint that is a sentence", () => {
  for (const [code, { status, hint }] of Object.entries(errors)) {
    expect(status, code).toBeGreaterThanOrEqual(400);
    expect(status, code).toBeLessThan(600);
    expect(hint, code).toMatch(/^[A-Z].*\.$/);
  }
});

test("an error on the wire has its message twice, its hint and its field", () => {
  const body = new ApiError("invalid_request", "timeout must be at least 1", "timeout").toBody("r1");
  expect(ErrorBody.parse(body)).toEqual({
    message: "timeout must be at least 1",
    error: {
      code: "invalid_request",
      message: "timeout must be at least 1",
      hint: errors.invalid_request.hint,
      field: "timeout",
      request_id: "r1",
    },
  });
});
