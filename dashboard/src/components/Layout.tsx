import { useEffect, useState } from "react";
import { NavLink, Outlet, useLocation } from "react-router";
import { goToSignIn } from "../api/client.ts";
import { useWhoami } from "../api/operate.ts";
import { signOut } from "../api/session.ts";
import { Button } from "../ui/Button.tsx";
import { applyTheme, currentTheme, type Theme } from "../ui/theme.ts";
import { GoTo } from "./GoTo.tsx";
import { Keys } from "./Keys.tsx";
import { usePlaces } from "./places.ts";

/** The frame around every page. */
export function Layout() {
  const [open, setOpen] = useState(false);
  const { pathname } = useLocation();
  useEffect(() => setOpen(false), [pathname]);
  return (
    <div className="frame">
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="side">
        <div className="side-top">
          <NavLink to="/jobs" className="brand">
            <img src="/icon.svg" alt="" width="26" height="26" />
            Mags
          </NavLink>
          <button
            type="button"
            className="button menu"
            aria-expanded={open}
            aria-controls="menu"
            onClick={() => setOpen(!open)}
          >
            Menu
          </button>
        </div>
        <div id="menu" className={open ? "side-menu open" : "side-menu"}>
          <GoTo />
          <Places />
          <Account />
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        <Outlet />
      </main>
    </div>
  );
}

function Places() {
  return (
    <nav aria-label="Main">
      {usePlaces().map(({ group, places }) => (
        <div className="group" key={group}>
          <p>{group}</p>
          {places.map(({ to, text }) => (
            <NavLink key={to} to={to}>
              {text}
            </NavLink>
          ))}
        </div>
      ))}
    </nav>
  );
}

function Account() {
  const { data } = useWhoami();
  return (
    <div className="account">
      {data && (
        <p className="who">
          <strong>{data.token}</strong>
          <span>{data.organisation}</span>
        </p>
      )}
      <div className="side-row">
        <ThemePicker />
        <Keys />
      </div>
      <Button onClick={() => void signOut().then(goToSignIn, goToSignIn)}>Sign out</Button>
    </div>
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
