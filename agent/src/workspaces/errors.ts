/** A sync failed: the message says since when what is written is not durable, and why. It may be tried again. */
export class NotDurable extends Error {
  override readonly name = "NotDurable";
}

/** What was written has not reached the disk, and never will: the message says why. */
export class NotWritten extends Error {
  override readonly name = "NotWritten";
}

/** The workspace is no longer this node's; nothing can be made durable here. */
export class WorkspaceLost extends Error {
  override readonly name = "WorkspaceLost";
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
