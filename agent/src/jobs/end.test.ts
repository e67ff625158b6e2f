import { expect, it } from "vitest";
import { insist } from "./end.ts";

it("a job is ended again until that works, as on a disk that was full for a while", async () => {
  const said: string[] = [];
  let tries = 0;
  const work = async () => {
    if (++tries < 3) throw new Error(`ENOSPC ${tries}`);
  };
  await insist(work, new AbortController().signal, ({ message }) => said.push(message));
  expect([tries, said]).toEqual([3, ["ENOSPC 1", "ENOSPC 2"]]);
});

it("a job is left to the next agent process when this one closes", async () => {
  const closing = new AbortController();
  let tries = 0;
  const work = async () => {
    tries++;
    closing.abort();
    throw new Error("ENOSPC");
  };
  await insist(work, closing.signal, () => undefined);
  expect(tries).toBe(1);
});
