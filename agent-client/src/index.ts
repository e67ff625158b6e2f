export { type AgentAddress, AgentClient, Agents, type Pass } from "./client.ts";
export type { RemoteSession } from "./session.ts";
