import { type ReactNode, useEffect, useRef } from "react";
import { createPortal } from "react-dom";

interface DialogProps {
  label: string;
  close: () => void;
  children: ReactNode;
}

/** Something in front of the page, that has the keyboard until it goes; Escape and a click beside it close it. */
export function Dialog({ label, close, children }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = box.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  // In the body, because a menu that asks for it may be hidden.
  return createPortal(
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape is the same for keyboards, and dialogs have it
    <dialog ref={box} aria-label={label} onClose={close} onClick={(event) => event.target === box.current && close()}>
      {children}
    </dialog>,
    document.body,
  );
}
