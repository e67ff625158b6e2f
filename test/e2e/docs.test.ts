/** What describes the API: the OpenAPI document, the reference drawn from it, pages for people and for language models. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { keepScreenshot, startBrowser, watchFaults } from "../harness/browser.ts";
import { Daemon } from "../harness/daemon.ts";

interface Operation {
  operationId: string;
  summary?: string;
  tags?: string[];
  responses: Record<string, { content?: object }>;
}

let daemon: Daemon;
let browser: Browser;
let document: { paths: Record<string, Record<string, Operation>> };
beforeAll(async () => {
  [daemon, browser] = await Promise.all([Daemon.start(), startBrowser()]);
  document = (await (await fetch(`${daemon.url}/openapi.json`)).json()) as typeof document;
});
afterAll(async () => {
  await browser?.close();
  await daemon?.remove();
});

const operations = () => Object.values(document.paths).flatMap((methods) => Object.values(methods));

test("the OpenAPI document is one of version 3.1", async () => {
  const validator = new Validator();
  const result = await validator.validate(document);
  expect(result.errors).toBeUndefined();
  expect(result.valid).toBe(true);
  expect(validator.version).toBe("3.1");
  const broken = structuredClone(document) as unknown as { paths: Record<string, object> };
  broken.paths["/api/v1/whoami"] = { get: { responses: "none" } };
  expect((await new Validator().validate(broken)).valid).toBe(false);
});

test("every route says what it is for and what it answers, in a schema that its answers are checked by", () => {
  expect(operations().length).toBeGreaterThan(60);
  const ids = operations().map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
  const vague = operations().filter(({ summary, tags }) => !summary || !tags?.length);
  expect(vague.map(({ operationId }) => operationId)).toEqual([]);
  const silent = operations().filter(({ responses }) => {
    const [, success] = Object.entries(responses).find(([status]) => /^(2\d\d|3\d\d|101)$/.test(status)) ?? [];
    return success === undefined;
  });
  expect(silent.map(({ operationId }) => operationId)).toEqual([]);
});

test("the reference shows every route, with nothing from elsewhere", async () => {
  const page = await browser.newPage();
  const faults = watchFaults(page);
  const foreign: string[] = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(daemon.url) && !request.url().startsWith("data:")) foreign.push(request.url());
  });
  const answer = await page.goto(`${daemon.url}/docs`);
  expect(answer?.headers()["content-security-policy"]).toContain("default-src 'none'");
  await page
    .getByText("Run a script")
    .or(page.getByText("/api/v1/mags-jobs", { exact: true }))
    .first()
    .waitFor();
  expect(await page.locator(".opblock").count()).toBe(operations().length);
  await page.locator(".opblock-post").first().click();
  await page.locator(".opblock-post .responses-table").first().waitFor();
  await keepScreenshot(page, "docs");
  expect(foreign).toEqual([]);
  expect(faults).toEqual([]);
  await page.close();
});

test("llms.txt has its form, and what it leads to is there as text", async () => {
  const answer = await fetch(`${daemon.url}/llms.txt`);
  expect(answer.headers.get("content-type")).toMatch(/^text\/plain/);
  const text = await answer.text();
  expect(text).toMatch(/^# Mags\n\n> .+/);
  const links = [...text.matchAll(/\]\((\/[^)]+)\)/g)].map(([, link]) => link as string);
  expect(links.length).toBeGreaterThan(20);
  for (const link of links) {
    const page = await fetch(daemon.url + link);
    expect([link, page.status]).toEqual([link, 200]);
    const type = link.endsWith(".md") ? "text/markdown; charset=utf-8" : /json|html/;
    expect(page.headers.get("content-type")).toMatch(type);
  }
});

test("the skill for coding agents has the head that they look for", async () => {
  const skill = await readFile(join(import.meta.dirname, "../../docs/skill/SKILL.md"), "utf8");
  const [, head = ""] = /^---\n([\s\S]*?)\n---\n/.exec(skill) ?? [];
  expect(head).toMatch(/^name: [a-z-]{1,64}$/m);
  expect(/^description: (.*)$/m.exec(head)?.[1]?.length).toBeLessThan(1024);
});
