/** A process of its own that puts sealed objects into the directory of its argument until it is killed. */
import { openObjectStore } from "../index.ts";
import { sealed } from "./sealed.ts";

const store = await openObjectStore({ kind: "directory", path: process.argv[2] ?? "" });
const endless = async (writer: number) => {
  for (let i = 0; ; i++) {
    await store.put(`w/${writer}/${i % 20}`, sealed(200_000));
    if (i === 0) process.stdout.write("writing\n");
  }
};
await Promise.all([1, 2, 3].map(endless));
