import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { RouterProvider } from "react-router";
import { queryClient } from "./api/client.ts";
import { router } from "./routes.tsx";
import "./styles/theme.css";
import "./styles/layout.css";
import "./styles/parts.css";
import "./styles/operate.css";
import "./styles/dialog.css";
import { applyTheme } from "./ui/theme.ts";

applyTheme();
createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
