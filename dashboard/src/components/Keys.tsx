import { useState } from "react";
import { useNavigate } from "react-router";
import { Button } from "../ui/Button.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { useKeys } from "../ui/use-keys.ts";

const KEYS: readonly (readonly [keys: string[], does: string])[] = [
  [["Ctrl", "K"], "Go to a page, a job or a workspace"],
  [["N"], "New run"],
  [["/"], "Search in this page"],
  [["Ctrl", "Enter"], "Run the script that is being written"],
  [["Ctrl", "Shift", "C"], "Copy from a terminal; with V paste"],
  [["Esc"], "Close what is in front"],
  [["?"], "These keys"],
];

/** What can be done without a mouse: shown by "?" or the button, and done here. */
export function Keys() {
  const navigate = useNavigate();
  const [open, setOpen] = useState(false);
  useKeys({
    "?": () => setOpen(true),
    n: () => navigate("/jobs/new"),
    "/": () => document.querySelector<HTMLInputElement>("main input[type=search]")?.focus(),
  });
  return (
    <>
      <Button aria-label="Keys" title="Keys" onClick={() => setOpen(true)}>
        ?
      </Button>
      {open && (
        <Dialog label="Keys" close={() => setOpen(false)}>
          <h2>Keys</h2>
          <dl className="keys">
            {KEYS.map(([keys, does]) => (
              <div key={does}>
                <dt>{does}</dt>
                <dd>
                  {keys.map((key) => (
                    <kbd key={key}>{key}</kbd>
                  ))}
                </dd>
              </div>
            ))}
          </dl>
          <Button onClick={() => setOpen(false)}>Close</Button>
        </Dialog>
      )}
    </>
  );
}
