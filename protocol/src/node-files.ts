/** How an uploaded file lies in the object store: the server writes it, agents read it. */
import { z } from "zod";
import { FileName } from "./api/files.ts";

/** The object at `fileKey`, written last: who finds it finds all parts. */
export const StoredFile = z.object({
  format: z.literal(1),
  name: FileName,
  bytes: z.number().int().min(0),
  sha256: z.string(),
  /** size of each part but the last, `bytes` */
  part_bytes: z.number().int().positive(),
});
export type StoredFile = z.infer<typeof StoredFile>;

export const fileKey = (org: string, id: string): string => `orgs/${org}/files/${id}`;

export const filePartKey = (org: string, id: string, part: number): string => `${fileKey(org, id)}/${part}`;

export const filePartCount = ({ bytes, part_bytes }: Pick<StoredFile, "bytes" | "part_bytes">): number =>
  Math.ceil(bytes / part_bytes);
