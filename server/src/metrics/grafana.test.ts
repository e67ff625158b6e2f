import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ADMIN, call, startWorld, TestNode, type World } from "../testing.ts";

interface Panel {
  title: string;
  type: string;
  fieldConfig?: { defaults: { unit?: string } };
  targets?: { expr: string }[];
}

let world: World;
let panels: Panel[];
/** name of each metric, with what Prometheus makes of it */
let names: Set<string>;
beforeAll(async () => {
  const file = join(import.meta.dirname, "../../../deploy/grafana/mags.json");
  panels = JSON.parse(await readFile(file, "utf8")).panels;
  world = await startWorld();
  await new TestNode(world, "n1").register();
  const { body } = await call(world, "GET", "/metrics", undefined, { authorization: `Bearer ${ADMIN}` });
  names = new Set(
    [...body.matchAll(/^# TYPE (\w+) (\w+)$/gm)].flatMap(([, name, type]) =>
      type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  );
});
afterAll(() => world[Symbol.asyncDispose]());

/** Metrics that an expression reads: words before a selector. */
const metricsIn = (expr: string) => [...expr.matchAll(/(\w+)\{/g)].map(([, name]) => name as string);

describe("the Grafana dashboard", () => {
  it("asks for nothing that /metrics does not tell", () => {
    const asked = panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => metricsIn(expr)));
    expect(asked.length).toBeGreaterThan(20);
    expect(asked.filter((name) => !names.has(name))).toEqual([]);
  });

  it("shows every metric of Mags", () => {
    const asked = new Set(panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => metricsIn(expr))));
    const own = [...names].filter((name) => /^mags_/.test(name) && !/_(sum|count|bucket)$/.test(name));
    expect(own.filter((name) => !asked.has(name))).toEqual([]);
  });

  it("has a title for each panel, and a unit and a question for each that shows figures", () => {
    const figures = panels.filter(({ type }) => type !== "row");
    expect(panels.filter(({ title }) => !title)).toEqual([]);
    expect(figures.filter(({ fieldConfig }) => !fieldConfig?.defaults.unit)).toEqual([]);
    expect(figures.filter(({ targets = [] }) => targets.every(({ expr }) => metricsIn(expr).length === 0))).toEqual([]);
  });
});
