import { fileKey, filePartKey } from "@mags/protocol";
import type { Queryable } from "../db/queryable.ts";
import { PART_BYTES } from "../files/receive.ts";
import type { Found } from "./decide.ts";

/** An uploaded file by the ledger. */
export interface FileFacts {
  id: string;
  stored: boolean;
  bytes: number;
}

export async function readFiles(q: Queryable, org: string): Promise<FileFacts[]> {
  const { rows } = await q.query<FileFacts>(
    "SELECT id, state = 'stored' AS stored, bytes::float8 AS bytes FROM files WHERE org = $1",
    [org],
  );
  return rows;
}

/** Where the ledger and the object store disagree about uploads. `listed`: key to the time of its object; only old ones can be strays. */
export function inUploads(org: string, files: FileFacts[], listed: ReadonlyMap<string, Date>, cutoff: Date): Found[] {
  const common = { where: "store", repair: null, mend: undefined };
  const missing = files
    .filter(({ stored }) => stored)
    .flatMap((file) => keysOf(org, file).filter((key) => !listed.has(key)));
  const known = new Set(files.map(({ id }) => fileKey(org, id)));
  const strays = [...listed].filter(([key, modified]) => modified <= cutoff && !known.has(ownerOf(key)));
  return [
    ...missing.map((key): Found => {
      const said =
        "by the ledger it is part of an uploaded file, and there is no such object: jobs that name the file fail";
      return { ...common, kind: "object_missing", what: key, said };
    }),
    ...strays.map(([key]): Found => {
      const said = "it is part of an upload that the ledger does not know";
      const mend = { do: "delete_object", key } as const;
      return { ...common, kind: "object_unreferenced", what: key, said, repair: "it is deleted", mend };
    }),
  ];
}

const keysOf = (org: string, { id, bytes }: FileFacts): string[] => [
  fileKey(org, id),
  ...Array.from({ length: Math.ceil(bytes / PART_BYTES) }, (_, part) => filePartKey(org, id, part)),
];

/** The key of the file that an object is, or is a part of. */
const ownerOf = (key: string): string => key.split("/").slice(0, 4).join("/");
