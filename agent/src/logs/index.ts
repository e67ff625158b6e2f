export { LogCapture } from "./capture.ts";
export { LogKeeper } from "./keeper.ts";
export { logRoutes } from "./routes.ts";
