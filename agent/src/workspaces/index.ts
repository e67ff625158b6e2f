export { NotWritten, WorkspaceLost } from "./errors.ts";
export { workspaceRoutes } from "./routes.ts";
export type { Workspace } from "./workspace.ts";
export { Workspaces } from "./workspaces.ts";
