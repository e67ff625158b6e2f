import { useState } from "react";
import { Button } from "./Button.tsx";

interface ConfirmProps {
  /** of the first button */
  children: string;
  /** of the button that does it */
  sure: string;
  /** what screen readers hear of the first, where the words alone do not say of what */
  label?: string;
  disabled?: boolean;
  act: () => void;
}

/** A button that asks once more: what it does cannot be taken back. */
export function Confirm({ children, sure, label, disabled = false, act }: ConfirmProps) {
  const [asked, setAsked] = useState(false);
  if (!asked)
    return (
      <Button look="danger" disabled={disabled} aria-label={label} onClick={() => setAsked(true)}>
        {children}
      </Button>
    );
  const answer = (yes: boolean) => {
    setAsked(false);
    if (yes) act();
  };
  return (
    <span className="confirm">
      <Button look="danger" autoFocus onClick={() => answer(true)}>
        {sure}
      </Button>
      <Button onClick={() => answer(false)}>Keep</Button>
    </span>
  );
}
