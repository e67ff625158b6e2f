/**
 * Writes the types of the API's answers for the clients, from the schemas in protocol: interfaces for Node, so that the
 * package needs no schema library, and TypedDicts for Python. `--check` exits 1 when a file is not up to date.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { answerSchemas } from "../protocol/src/answers.ts";

interface Schema {
  $ref?: string;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  description?: string;
}

/** How a language writes what a schema can say. */
interface Language {
  primitives: Record<string, string>;
  literal(value: unknown): string;
  union(members: string[]): string;
  list(item: string): string;
  map(value: string): string;
}

const typescript: Language = {
  primitives: { string: "string", number: "number", integer: "number", boolean: "boolean", null: "null" },
  literal: (value) => JSON.stringify(value),
  union: (members) => members.join(" | "),
  list: (item) => (item.includes(" ") ? `(${item})[]` : `${item}[]`),
  map: (value) => `Record<string, ${value}>`,
};

const python: Language = {
  primitives: { string: "str", number: "float", integer: "int", boolean: "bool", null: "None" },
  literal: (value) =>
    typeof value === "boolean" ? (value ? "Literal[True]" : "Literal[False]") : `Literal["${value}"]`,
  union: (members) => {
    const others = members.filter((member) => member !== "None");
    const one = others.every((member) => member.startsWith("Literal["))
      ? `Literal[${others.map((member) => member.slice(8, -1)).join(", ")}]`
      : others.length === 1
        ? others[0]
        : `Union[${others.join(", ")}]`;
    return others.length < members.length ? `Optional[${one}]` : (one as string);
  },
  list: (item) => `List[${item}]`,
  map: (value) => `Dict[str, ${value}]`,
};

const files = { "sdk/node/src/wire.ts": toTypeScript(), "sdk/python/src/mags/types.py": toPython() };
const check = process.argv.includes("--check");
for (const [path, text] of Object.entries(files)) {
  const url = new URL(`../${path}`, import.meta.url);
  if (!check) writeFileSync(url, text);
  else if (readFileSync(url, "utf8") !== text) {
    process.stderr.write(`${path} is not what protocol says: npm run gen\n`);
    process.exitCode = 1;
  }
}

/** The schemas by name, in an order in which each one comes after those that it uses. */
function schemas(): [string, Schema][] {
  const found = answerSchemas() as Record<string, Schema>;
  const ordered: string[] = [];
  const visit = (name: string): void => {
    if (ordered.includes(name)) return;
    for (const [, used] of JSON.stringify(found[name]).matchAll(/"\$ref":"(\w+)"/g)) visit(used as string);
    ordered.push(name);
  };
  for (const name of Object.keys(found).sort()) visit(name);
  return ordered.map((name) => [name, found[name] as Schema]);
}

/** The type of a value; an object within is declared by itself, under a name made of where it stands. */
function typeOf(
  schema: Schema,
  name: string,
  language: Language,
  declare: (name: string, object: Schema) => void,
): string {
  const inner = (part: Schema, suffix = "") => typeOf(part, name + suffix, language, declare);
  if (schema.$ref) return schema.$ref;
  if (schema.const !== undefined) return language.literal(schema.const);
  if (schema.enum) return language.union(schema.enum.map(language.literal));
  if (schema.anyOf) return language.union(schema.anyOf.map((part) => inner(part)));
  if (Array.isArray(schema.type)) return language.union(schema.type.map((type) => inner({ ...schema, type })));
  if (schema.type === "array") return language.list(inner(schema.items ?? {}, "Item"));
  if (schema.type === "object" && !schema.properties)
    return language.map(
      inner(typeof schema.additionalProperties === "object" ? schema.additionalProperties : {}, "Value"),
    );
  if (schema.type === "object") {
    declare(name, schema);
    return name;
  }
  const primitive = language.primitives[schema.type ?? ""];
  if (primitive === undefined) throw new Error(`${name}: no type for ${JSON.stringify(schema)}`);
  return primitive;
}

/** All declarations in order, those of inner objects before what uses them. */
function declarations(language: Language, write: (name: string, fields: Field[]) => string): string[] {
  const all: string[] = [];
  const declare = (name: string, schema: Schema): void => {
    const fields = Object.entries(schema.properties ?? {}).map(([key, field]) => ({
      key,
      optional: !schema.required?.includes(key),
      type: typeOf(field, name + pascal(key), language, declare),
      description: field.description,
    }));
    all.push(write(name, fields));
  };
  for (const [name, schema] of schemas()) declare(name, schema);
  return all;
}

interface Field {
  key: string;
  optional: boolean;
  type: string;
  description: string | undefined;
}

function pascal(key: string): string {
  return key.replace(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function toTypeScript(): string {
  const fieldText = ({ key, optional, type, description }: Field) =>
    `${description ? `  /** ${description} */\n` : ""}  ${key}${optional ? "?" : ""}: ${type};\n`;
  const all = declarations(
    typescript,
    (name, fields) => `export interface ${name} {\n${fields.map(fieldText).join("")}}\n`,
  );
  return `/** What the API answers; written by scripts/gen-types.ts from the schemas in protocol. */\n\n${all.join("\n")}`;
}

function toPython(): string {
  const fieldText = ({ key, type, description }: Field) =>
    `${description ? `    #: ${description}\n` : ""}    ${key}: ${type}\n`;
  const all = declarations(python, (name, fields) => {
    const [must, may] = [fields.filter((field) => !field.optional), fields.filter((field) => field.optional)];
    // No class can have a field of this name.
    if (fields.some(({ key }) => key === "from")) {
      if (may.length > 0) throw new Error(`${name}: fields called as keywords of Python, and optional ones`);
      return `${name} = TypedDict(\n    "${name}",\n    {${must.map(({ key, type }) => `"${key}": ${JSON.stringify(type)}`).join(", ")}},\n)\n`;
    }
    const required = must.map(fieldText).join("");
    if (may.length === 0) return `class ${name}(TypedDict):\n${required}`;
    const optional = may.map(fieldText).join("");
    return `class _${name}(TypedDict):\n${required}\n\nclass ${name}(_${name}, total=False):\n${optional}`;
  });
  const body = all.join("\n\n");
  const used = ["Dict", "List", "Literal", "Optional", "TypedDict", "Union"].filter((name) => body.includes(name));
  return `"""What the API answers; written by scripts/gen-types.ts from the schemas in protocol."""

from __future__ import annotations

from typing import ${used.join(", ")}


${body}`;
}
