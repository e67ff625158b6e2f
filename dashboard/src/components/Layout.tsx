import { useState } from "react";
import { NavLink, Outlet } from "react-router";
import { goToSignIn } from "../api/client.ts";
import { signOut } from "../api/session.ts";
import { Button } from "../ui/Button.tsx";
import { applyTheme, currentTheme, type Theme } from "../ui/theme.ts";

const PLACES = [
  ["/jobs", "Jobs"],
  ["/workspaces", "Workspaces"],
  ["/system", "System"],
] as const;

/** The frame around every page. */
export function Layout() {
  return (
    <>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="top">
        <NavLink to="/jobs" className="brand">
          <img src="/icon.svg" alt="" width="24" height="24" />
          Mags
        </NavLink>
        <nav aria-label="Main">
          {PLACES.map(([to, text]) => (
            <NavLink key={to} to={to}>
              {text}
            </NavLink>
          ))}
        </nav>
        <div className="account">
          <ThemePicker />
          <Button onClick={() => void signOut().then(goToSignIn, goToSignIn)}>Sign out</Button>
        </div>
      </header>
      <main id="main">
        <Outlet />
      </main>
    </>
  );
}

function ThemePicker() {
  const [theme, setTheme] = useState(currentTheme());
  const choose = (next: Theme) => {
    applyTheme(next);
    setTheme(next);
  };
  return (
    <select aria-label="Colours" value={theme} onChange={(event) => choose(event.target.value as Theme)}>
      <option value="system">System colours</option>
      <option value="light">Light</option>
      <option value="dark">Dark</option>
    </select>
  );
}
