/** Answers are checked by the schemas that the OpenAPI document shows: what would break them is not sent. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { call, startWorld, type World } from "../testing.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

it("an answer that its schema does not allow becomes an error of the server", async () => {
  const list = () => call(world, "GET", "/api/v1/tokens");
  expect((await list()).status).toBe(200);
  await world.sql.query("INSERT INTO tokens (org, name, hash, scopes) VALUES ('default', 'odd', 'h', '{everything}')");
  const answer = await list();
  expect(answer).toMatchObject({ status: 500, body: { error: { code: "internal", request_id: expect.any(String) } } });
  expect(JSON.stringify(answer.body)).not.toContain("everything");
});

it("every JSON answer of the document has a schema to be checked by", async () => {
  const { body } = await call(world, "GET", "/openapi.json");
  type Content = Record<string, { schema?: object }>;
  const operations = Object.values<
    Record<string, { operationId: string; responses: Record<string, { content?: Content }> }>
  >(body.paths).flatMap((methods) => Object.values(methods));
  const open = operations.filter(({ responses }) =>
    Object.values(responses).some(({ content }) => {
      const json = content?.["application/json"];
      return json !== undefined && Object.keys(json.schema ?? {}).length === 0;
    }),
  );
  expect(open.map(({ operationId }) => operationId)).toEqual([]);
});
