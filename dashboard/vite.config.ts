import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** Only what is in this folder goes into the page: the server allows it nothing from elsewhere. */
export default defineConfig({
  root: import.meta.dirname,
  plugins: [react()],
  build: { outDir: "dist", sourcemap: false, chunkSizeWarningLimit: 1000, modulePreload: { polyfill: false } },
  server: { proxy: { "/api": "http://127.0.0.1:7070" } },
});
