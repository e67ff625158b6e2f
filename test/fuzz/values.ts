import fc from "fast-check";

/** As much of JSON Schema as the OpenAPI document uses. */
export interface Schema {
  type?: string;
  enum?: unknown[];
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: Schema | boolean;
  pattern?: string;
  format?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  minLength?: number;
  maxLength?: number;
  maxItems?: number;
}

const LONGEST = 300;

/** Values that a schema allows, as far as it says; now and then one that it does not, at any depth. */
export function valuesOf(schema: Schema): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 8, arbitrary: right(schema) }, { weight: 1, arbitrary: hostile });
}

function right(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(valuesOf));
  switch (schema.type) {
    case "object":
      return objectOf(schema);
    case "array":
      return fc.array(valuesOf(schema.items ?? {}), { maxLength: Math.min(schema.maxItems ?? 5, 5) });
    case "integer":
    case "number":
      return numberOf(schema);
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    case "string":
      return textOf(schema);
    default:
      return fc.jsonValue();
  }
}

function objectOf({ properties = {}, required = [], additionalProperties }: Schema): fc.Arbitrary<unknown> {
  const known = fc.record(
    Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, valuesOf(schema)])),
    { requiredKeys: [] },
  );
  const needed = fc.record(Object.fromEntries(required.map((name) => [name, valuesOf(properties[name] ?? {})])));
  const more = fc.dictionary(strange, valuesOf(typeof additionalProperties === "object" ? additionalProperties : {}), {
    maxKeys: 2,
  });
  // What is required is mostly there, and what nobody knows mostly not.
  return fc
    .tuple(known, needed, more, fc.nat(9))
    .map(([some, all, others, dice]) => ({ ...(dice === 0 ? others : {}), ...some, ...(dice === 1 ? {} : all) }));
}

function numberOf({ minimum, exclusiveMinimum, maximum, type }: Schema): fc.Arbitrary<unknown> {
  const [min, max] = [minimum ?? exclusiveMinimum ?? -1000, Math.min(maximum ?? 2 ** 53 - 1, 2 ** 53 - 1)];
  const within = fc.integer({ min: Math.ceil(min), max: Math.floor(max) });
  const fraction = fc.double({ min, max, noNaN: true });
  return fc.oneof(within, fc.constantFrom(min, max, min - 1, max + 1), type === "number" ? fraction : within);
}

function textOf({ pattern, format, minLength = 0, maxLength = LONGEST }: Schema): fc.Arbitrary<unknown> {
  if (format === "uuid") return fc.uuid();
  if (format === "email") return fc.emailAddress();
  if (format === "uri") return fc.webUrl();
  const plain = fc.string({
    minLength: Math.min(minLength, LONGEST),
    maxLength: Math.min(maxLength, LONGEST),
    unit: "grapheme",
  });
  return pattern === undefined ? plain : fc.oneof(plain, patterned(pattern));
}

function patterned(pattern: string): fc.Arbitrary<string> {
  try {
    return fc.stringMatching(new RegExp(pattern), { maxLength: LONGEST });
  } catch {
    // It knows not all of regular expressions.
    return fc.string();
  }
}

/** Texts that have broken programs. */
export const strange: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "\u202e\u0000",
    "../../../etc/passwd",
    "..%2f..%2f",
    "/",
    "//",
    ".",
    "..",
    "%",
    "%00",
    "%ff",
    "%zz",
    "'; DROP TABLE jobs; --",
    "\\",
    '"',
    "{{7*7}}",
    "-rf",
    "--help",
    "null",
    "NaN",
    "Infinity",
    "-0",
    "1e400",
    "0x10",
    "__proto__",
    "constructor",
    "toString",
    "\r\nX-Injected: 1",
    "\u001b[2J",
    "😀".repeat(50),
    "ﷺ",
    "İ",
    "ﬀ",
    "\ufeff",
    "9".repeat(400),
    "00000000-0000-0000-0000-000000000000",
    "name@latest",
    "name@999999999",
    "@",
    "2026-02-30",
    "* * * * *",
    "* * 31 2 *",
    "Europe/Nowhere",
  ),
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ maxLength: 60 }),
  fc.constant("x".repeat(100_000)),
);

/** Anything but what was asked for. */
export const hostile: fc.Arbitrary<unknown> = fc.oneof(
  strange,
  fc.constantFrom(
    null,
    true,
    false,
    0,
    -1,
    1e308,
    -1e308,
    2 ** 31,
    2 ** 53,
    2 ** 63,
    1.5,
    Number.MIN_VALUE,
    [],
    {},
    [[]],
    { a: 1 },
  ),
  fc.constantFrom(100, 500).map(nested),
  fc.constant(new Array(2000).fill("x")),
  fc.jsonValue(),
  fc.dictionary(strange, fc.jsonValue(), { maxKeys: 5 }),
);

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level++) value = level % 2 ? [value] : { a: value };
  return value;
}
