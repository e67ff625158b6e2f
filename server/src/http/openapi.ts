/** The frame of the OpenAPI document; paths and schemas come from the routes. */
export const openapi = (version: string) => ({
  openapi: "3.1.0",
  info: {
    title: "Mags",
    version,
    description:
      "On-demand Linux sandboxes that anyone can host. Every error has the same body, with a stable code and a hint; every answer carries X-Request-Id. POSTs honour Idempotency-Key for 24 hours. /api/v2 is an alias of /api/v1.",
    license: { name: "MIT", identifier: "MIT" },
  },
  servers: [{ url: "/", description: "This server" }],
  tags: [
    { name: "jobs", description: "Scripts, and the machines they run in" },
    { name: "access", description: "Tokens and organisations" },
    { name: "secrets", description: "Values that jobs are given by name" },
    { name: "webhooks", description: "URLs that are told of jobs" },
    { name: "audit", description: "Who did what" },
    { name: "usage", description: "What was used" },
    { name: "cron", description: "Jobs on a schedule" },
    { name: "workspaces", description: "Disks that are kept, with their versions" },
    { name: "images", description: "What machines start from" },
    { name: "files", description: "What jobs are given" },
    { name: "session", description: "Browsers that sign in" },
    { name: "access", description: "Ways into a running machine: URLs and SSH" },
    { name: "health", description: "For load balancers and people; no token needed" },
  ],
  components: {
    securitySchemes: {
      token: { type: "http" as const, scheme: "bearer" },
      session: { type: "apiKey" as const, in: "cookie" as const, name: "mags_session" },
    },
  },
  security: [{ token: [] }, { session: [] }] as Record<string, string[]>[],
});
