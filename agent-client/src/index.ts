export { AgentClient } from "./client.ts";
export type { RemoteSession } from "./session.ts";
