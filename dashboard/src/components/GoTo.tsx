import { type KeyboardEvent, useDeferredValue, useId, useState } from "react";
import { useNavigate } from "react-router";
import { Dialog } from "../ui/Dialog.tsx";
import { useKeys } from "../ui/use-keys.ts";
import { type Goal, useGoals } from "./goals.ts";

/** Goes anywhere by a few letters. */
export function GoTo() {
  const [open, setOpen] = useState(false);
  useKeys({ "Control+k": () => setOpen(true) });
  return (
    <>
      <button type="button" className="button go-to" aria-keyshortcuts="Control+K" onClick={() => setOpen(true)}>
        <span>Go to…</span> <kbd>Ctrl K</kbd>
      </button>
      {open && <Picker close={() => setOpen(false)} />}
    </>
  );
}

function Picker({ close }: { close: () => void }) {
  const list = useId();
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const goals = useGoals(useDeferredValue(text.trim()));
  const chosen = Math.min(at, goals.length - 1);
  const go = (goal: Goal | undefined) => {
    if (!goal) return;
    close();
    navigate(goal.to);
  };
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) setAt((chosen + step + goals.length) % goals.length);
    else if (event.key === "Enter") go(goals[chosen]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog label="Go to" close={close}>
      <input
        type="text"
        role="combobox"
        aria-label="Page, job or workspace"
        aria-expanded="true"
        aria-controls={list}
        aria-activedescendant={goals[chosen] && `${list}-${chosen}`}
        placeholder="Page, job or workspace"
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
        onKeyDown={onKey}
      />
      <div role="listbox" id={list} aria-label="Places" className="goals">
        {goals.map((goal, index) => (
          // biome-ignore lint/a11y/useFocusableInteractive: the field keeps the keyboard, and says which one is chosen
          // biome-ignore lint/a11y/useKeyWithClickEvents: as above
          <div
            key={goal.to}
            id={`${list}-${index}`}
            role="option"
            aria-selected={index === chosen}
            onMouseMove={() => setAt(index)}
            onClick={() => go(goal)}
          >
            <span>{goal.text}</span>
            <small>{goal.kind}</small>
          </div>
        ))}
      </div>
      {goals.length === 0 && <p className="hint">Nothing has a name like that.</p>}
    </Dialog>
  );
}
