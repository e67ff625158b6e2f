/** The import rules: who may know whom. docs/architecture.md draws them. */
const rule = (name, comment, from, to) => ({ name, comment, severity: "error", from, to });
const tests = "\\.test\\.ts$|/testing(/|\\.ts$)";

module.exports = {
  forbidden: [
    rule("no-circular", "data flows one way", {}, { circular: true }),
    rule(
      "protocol-is-leaf",
      "it runs in browsers too",
      { path: "^protocol/src", pathNot: tests },
      { pathNot: "^protocol/src|node_modules/zod" },
    ),
    rule(
      "kit-is-leaf",
      "tools know no product",
      { path: "^kit/src" },
      { path: "^(protocol|server|storage|agent|agent-client|gateway|sdk|cli|magsd)/" },
    ),
    rule(
      "server-alone",
      "programs talk over HTTP",
      { path: "^server/src" },
      { path: "^(agent|gateway|cli|magsd|sdk)/" },
    ),
    rule(
      "agent-alone",
      "programs talk over HTTP",
      { path: "^agent/src" },
      { path: "^(server|gateway|cli|magsd|sdk)/" },
    ),
    rule(
      "gateway-alone",
      "programs talk over HTTP",
      { path: "^gateway/src" },
      { path: "^(server|storage|agent|cli|magsd|sdk)/" },
    ),
    rule(
      "edges-share-wake",
      "HTTP and SSH know nothing of each other: where a sandbox is, and whether it is up, is asked in wake.ts",
      { path: "^gateway/src/(http|ssh)/" },
      { path: "^gateway/src/(http|ssh)/", pathNot: "^gateway/src/$1/" },
    ),
    rule(
      "agent-client-is-thin",
      "server and gateway share it, and must not meet in it",
      { path: "^agent-client/src", pathNot: tests },
      { path: "^(server|storage|agent|gateway|sdk|cli|magsd)/" },
    ),
    rule(
      "storage-knows-no-vm",
      "it can be tested with a disk and an S3 server",
      { path: "^storage/src" },
      { path: "^(server|agent|gateway|sdk|cli|magsd)/" },
    ),
    rule(
      "only-server-touches-postgres",
      "one owner of the truth",
      { pathNot: "^(server/src|test)/" },
      { path: "node_modules/(pg|kysely)/" },
    ),
    rule(
      "only-kit-makes-syscalls",
      "one place to review",
      { pathNot: "^kit/src/syscalls/" },
      { path: "node_modules/koffi/" },
    ),
    rule(
      "one-door-to-processes",
      "children are started by kit/src/run.ts",
      { pathNot: "^kit/src/run\\.ts$" },
      { path: "^(node:)?child_process$|node_modules/execa/" },
    ),
    rule(
      "drivers-behind-contract",
      "jobs know the contract only",
      { path: "^agent/src/(sandbox|jobs|pool|logs|workspaces|network|access)", pathNot: tests },
      { path: "^agent/src/drivers" },
    ),
    rule(
      "workspaces-know-no-job",
      "they are synced, too, when no job is there",
      { path: "^agent/src/workspaces" },
      { path: "^agent/src/(jobs|pool)/" },
    ),
    rule(
      "drivers-are-apart",
      "each stands for itself behind the contract",
      { path: "^agent/src/drivers/([^/]+)/", pathNot: tests },
      { path: "^agent/src/drivers/", pathNot: "^agent/src/drivers/$1/" },
    ),
    rule(
      "feature-by-service",
      "the SQL of a table lives in one folder",
      { path: "^server/src/([^/]+)/", pathNot: `^server/src/http/app\\.ts$|${tests}` },
      { path: "^server/src/[^/]+/[a-z-]*(store|routes)\\.ts$", pathNot: "^server/src/$1/" },
    ),
    rule(
      "down-only",
      "routes, then service, then decisions and store",
      { path: "^server/src/[^/]+/([a-z-]*store|decide|service)\\.ts$" },
      { path: "^server/src/[^/]+/routes\\.ts$" },
    ),
    rule(
      "stores-know-no-service",
      "a statement decides nothing",
      { path: "^server/src/[^/]+/([a-z-]*store|decide)\\.ts$" },
      { path: "^server/src/[^/]+/service\\.ts$" },
    ),
    rule(
      "front-doors-only",
      "what is inside a package may be renamed",
      { path: "^([^/]+)/", pathNot: `^(scripts|test)/|${tests}` },
      {
        path: "^(protocol|kit|server|storage|agent|agent-client|gateway|sdk/node)/src/",
        pathNot: ["^$1/", "^(protocol|kit|server|storage|agent|agent-client|gateway|sdk/node)/src/index\\.ts$"],
      },
    ),
    rule(
      "clients-are-clients",
      "we use our own API",
      { path: "^(cli|sdk)/" },
      { path: "^(server|storage|agent|gateway|magsd)/" },
    ),
    rule(
      "dashboard-is-a-client",
      "a page knows the API and nothing behind it",
      { path: "^dashboard/src" },
      { path: "^(kit|server|storage|agent|gateway|magsd|cli|test)/" },
    ),
    rule(
      "pages-use-parts",
      "parts know no page",
      { path: "^dashboard/src/(ui|components|api)/" },
      { path: "^dashboard/src/pages/" },
    ),
    rule(
      "sdk-needs-nothing",
      "types of the protocol only",
      { path: "^sdk/node/src" },
      { path: "node_modules|^(kit|protocol)/", dependencyTypesNot: ["type-only"] },
    ),
    rule("decisions-are-pure", "no clock, no I/O", { path: "/decide\\.ts$" }, { dependencyTypes: ["core"] }),
    rule(
      "examples-are-users",
      "they have what a user has",
      { path: "^examples/" },
      { path: "^(protocol|kit|server|storage|agent|agent-client|gateway|cli|dashboard|magsd|test|bench)/" },
    ),
    rule(
      "tests-are-outside",
      "nothing imports them",
      { pathNot: "^(test|bench)/" },
      { path: "^(test|bench|examples)/" },
    ),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)(dist|\\.tools)/" },
    tsPreCompilationDeps: "specify",
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "types", "default"],
      extensions: [".ts", ".tsx", ".js", ".json"],
    },
  },
};
