export { LogCapture } from "./capture.ts";
export { logRoutes } from "./routes.ts";
