import { expect, test } from "vitest";
import { RunError, run } from "./run.ts";

test("the output of a program comes without its final newline", async () => {
  expect(await run("printf", ["a\nb\n"])).toBe("a\nb");
});

test("a program that fails is named, with its exit code and what it said", async () => {
  const error = await run("sh", ["-c", "echo reason >&2; exit 7"]).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(RunError);
  expect(error).toMatchObject({ exitCode: 7, stderr: "reason" });
  expect((error as RunError).message).toMatch(/^sh -c .* failed with exit code 7: reason$/);
});

test("a program that does not exist is an error like any other", async () => {
  await expect(run("/no/such/program")).rejects.toThrow(/\/no\/such\/program .*failed: .*ENOENT/);
});

test("a program gets no input", async () => {
  expect(await run("cat")).toBe("");
});

test("a program that a signal ended is said to have been", async () => {
  await expect(run("sh", ["-c", "kill -9 $$"])).rejects.toThrow("failed: ended by SIGKILL");
});

test("input and environment reach the program", async () => {
  expect(await run("sh", ["-c", 'cat; printf %s "$GIVEN"'], { input: "in ", env: { GIVEN: "env" } })).toBe("in env");
});
