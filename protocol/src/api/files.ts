import { z } from "zod";

export const fileLimits = {
  /** UTF-8 size of a file's name, `bytes`; what file systems allow */
  nameBytes: 255,
  /** most files of one job */
  perJob: 100,
} as const;

const utf8 = new TextEncoder();

/** A name that is one entry of a directory and can be printed. */
export const FileName = z
  .string()
  .min(1, "must not be empty")
  .refine((name) => name !== "." && name !== "..", "must not be . or ..")
  .refine((name) => !name.includes("/"), "must not contain a slash")
  .refine((name) => !/\p{Cc}/u.test(name), "must not contain control characters")
  .refine((name) => name.isWellFormed(), "must be valid Unicode text")
  .refine(
    (name) => utf8.encode(name).length <= fileLimits.nameBytes,
    `must not be longer than ${fileLimits.nameBytes} bytes`,
  );

/** A file that jobs can be given; times are ISO 8601. */
export const UploadedFile = z.object({
  file_id: z.uuid(),
  name: z.string().describe("Its name in /root of a job's machine"),
  bytes: z.number().int(),
  sha256: z.string(),
  created_at: z.string(),
  used_at: z.string().nullable().describe("When a job last named it"),
  expires_at: z.string().describe("When it is removed, unless a job names it before; each use moves this on"),
});
export type UploadedFile = z.infer<typeof UploadedFile>;

export const ListFilesQuery = z.object({
  page: z.coerce.number().int().min(1).default(1),
  page_size: z.coerce.number().int().min(1).max(200).default(50),
});

export const FileList = z.object({
  files: z.array(UploadedFile),
  total: z.number().int(),
  total_bytes: z.number().int().describe("Of all files of the organisation"),
  page: z.number().int(),
  page_size: z.number().int(),
});
export type FileList = z.infer<typeof FileList>;

export const FileDeleted = z.object({ file_id: z.uuid(), deleted: z.literal(true) });
