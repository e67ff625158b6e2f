import { ApiError } from "@mags/protocol";
import type { FastifySchemaCompiler } from "fastify";
import type { z } from "zod";

type Issue = z.core.$ZodIssue;

/** Validates with zod; the first problem becomes a sentence that names the field, what is wrong and what would be right. */
export const validatorCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema, httpPart }) =>
  (data) => {
    if (httpPart === "body" && (typeof data !== "object" || data === null || Array.isArray(data))) {
      return {
        error: new ApiError(
          "malformed_json",
          `the body must be a JSON object${data === undefined ? ", but it is empty" : ""}`,
        ),
      };
    }
    const result = schema.safeParse(data, { reportInput: true });
    return result.success ? { value: result.data } : { error: issueError(result.error.issues) };
  };

/** The first problem as an error of the API. Parse with `reportInput`, so that it can tell what was given. */
export function issueError(issues: Issue[]): ApiError {
  const [first] = issues;
  if (!first) return new ApiError("invalid_request", "the request is not valid");
  const field = first.path.map(String).join(".");
  const more =
    issues.length > 1
      ? ` (and ${issues.length - 1} more: ${issues
          .slice(1, 4)
          .map((i) => i.path.map(String).join("."))
          .join(", ")})`
      : "";
  return new ApiError("invalid_request", `${field ? `${field} ` : ""}${describe(first)}${more}`, field || undefined);
}

function describe(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === undefined
        ? `is required: send ${article(issue.expected)}`
        : `must be ${article(issue.expected)}${Number.isNaN(issue.input) ? "" : `, but is ${kindOf(issue.input)}`}`;
    case "invalid_value":
      return `must be one of ${issue.values.map((v) => JSON.stringify(v)).join(", ")}`;
    case "too_small":
      return issue.message === "must not be empty"
        ? issue.message
        : `must be at least ${issue.minimum}${unit(issue.origin)}`;
    case "too_big":
      return `must be at most ${issue.maximum}${unit(issue.origin)}`;
    case "invalid_key":
      return issue.issues[0]?.message ?? "is no valid name";
    case "unrecognized_keys":
      return `has fields that cannot be changed here: ${issue.keys.join(", ")}`;
    default:
      return issue.message.replace(/^Invalid input: /, "");
  }
}

const unit = (origin: string) => (origin === "string" ? " characters long" : "");

const article = (type: string) =>
  type === "int"
    ? "a whole number"
    : type === "record"
      ? "an object"
      : /^[aeiou]/.test(type)
        ? `an ${type}`
        : `a ${type}`;

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "number" && !Number.isInteger(value)) return `the number ${value}`;
  return article(typeof value);
}

/** PostgreSQL can store neither NUL nor half of a surrogate pair. Throws ApiError naming where such text is. */
export function refuseUnstorableText(value: unknown, path: string[] = []): void {
  if (typeof value === "string") {
    const wrong = value.includes("\0")
      ? "contains a NUL character"
      : value.isWellFormed()
        ? undefined
        : "is not valid Unicode text";
    if (wrong) throw new ApiError("invalid_request", `${path.join(".")} ${wrong}: remove it`, path.join("."));
  } else if (typeof value === "object" && value !== null && path.length < 16) {
    for (const [key, inner] of Object.entries(value)) {
      if (key.includes("\0") || !key.isWellFormed())
        throw new ApiError(
          "invalid_request",
          `${path.join(".") || "the body"} has a key that is no valid text`,
          path.join("."),
        );
      refuseUnstorableText(inner, [...path, key]);
    }
  }
}
