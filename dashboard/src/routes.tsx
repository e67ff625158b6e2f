import { lazy, Suspense } from "react";
import { createBrowserRouter, redirect } from "react-router";
import { Layout } from "./components/Layout.tsx";
import { ApprovePage } from "./pages/ApprovePage.tsx";
import { AuditPage } from "./pages/audit/AuditPage.tsx";
import { CronPage } from "./pages/cron/CronPage.tsx";
import { CronsPage } from "./pages/cron/CronsPage.tsx";
import { NewCronPage } from "./pages/cron/NewCronPage.tsx";
import { InvitePage } from "./pages/InvitePage.tsx";
import { JobPage } from "./pages/jobs/JobPage.tsx";
import { JobsPage } from "./pages/jobs/JobsPage.tsx";
import { NewRunPage } from "./pages/jobs/NewRunPage.tsx";
import { MissingPage } from "./pages/MissingPage.tsx";
import { MembersPage } from "./pages/members/MembersPage.tsx";
import { QuotaPage } from "./pages/quota/QuotaPage.tsx";
import { SignInPage } from "./pages/SignInPage.tsx";
import { SecretsPage } from "./pages/secrets/SecretsPage.tsx";
import { SystemPage } from "./pages/system/SystemPage.tsx";
import { TokensPage } from "./pages/tokens/TokensPage.tsx";
import { UrlsPage } from "./pages/urls/UrlsPage.tsx";
import { UsagePage } from "./pages/usage/UsagePage.tsx";
import { WebhookPage } from "./pages/webhooks/WebhookPage.tsx";
import { WebhooksPage } from "./pages/webhooks/WebhooksPage.tsx";
import { ChangesPage } from "./pages/workspaces/ChangesPage.tsx";
import { FilesPage } from "./pages/workspaces/FilesPage.tsx";
import { WorkspacePage } from "./pages/workspaces/WorkspacePage.tsx";
import { WorkspacesPage } from "./pages/workspaces/WorkspacesPage.tsx";
import { takeWay } from "./ui/kept-way.ts";
import { Loading } from "./ui/Notice.tsx";

// xterm.js is larger than all the rest, so it comes when it is wanted.
const TerminalPage = lazy(async () => ({ default: (await import("./pages/jobs/TerminalPage.tsx")).TerminalPage }));

/** The whole map of the dashboard. */
export const router = createBrowserRouter([
  { path: "/sign-in", element: <SignInPage /> },
  { path: "/invite", element: <InvitePage /> },
  { path: "/approve", element: <ApprovePage /> },
  {
    element: <Layout />,
    children: [
      { path: "/", loader: () => redirect(wayIn()), hydrateFallbackElement: <Loading what="the dashboard" /> },
      { path: "/jobs", element: <JobsPage /> },
      { path: "/jobs/new", element: <NewRunPage /> },
      { path: "/jobs/:id", element: <JobPage /> },
      {
        path: "/jobs/:id/terminal",
        element: (
          <Suspense fallback={<Loading what="the terminal" />}>
            <TerminalPage />
          </Suspense>
        ),
      },
      { path: "/workspaces", element: <WorkspacesPage /> },
      { path: "/workspaces/:id", element: <WorkspacePage /> },
      { path: "/workspaces/:id/files", element: <FilesPage /> },
      { path: "/workspaces/:id/changes", element: <ChangesPage /> },
      { path: "/cron", element: <CronsPage /> },
      { path: "/cron/new", element: <NewCronPage /> },
      { path: "/cron/:id", element: <CronPage /> },
      { path: "/urls", element: <UrlsPage /> },
      { path: "/secrets", element: <SecretsPage /> },
      { path: "/webhooks", element: <WebhooksPage /> },
      { path: "/webhooks/:id", element: <WebhookPage /> },
      { path: "/usage", element: <UsagePage /> },
      { path: "/quota", element: <QuotaPage /> },
      { path: "/members", element: <MembersPage /> },
      { path: "/audit", element: <AuditPage /> },
      { path: "/tokens", element: <TokensPage /> },
      { path: "/system", element: <SystemPage /> },
      { path: "*", element: <MissingPage /> },
    ],
  },
]);

/** Where somebody had been going who came in by another site; the jobs otherwise. */
function wayIn(): string {
  const way = takeWay() ?? "/";
  return way === "/" ? "/jobs" : way;
}
