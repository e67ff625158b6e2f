import { useEffect } from "react";

/** Does things at keys, such as "?" or "Control+k", while nobody is typing; those with Control also then. */
export function useKeys(keys: Record<string, () => void>): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const control = event.ctrlKey || event.metaKey;
      if (event.altKey || event.defaultPrevented || (!control && isTyping(event.target))) return;
      const act = keys[`${control ? "Control+" : ""}${event.key}`];
      if (!act) return;
      event.preventDefault();
      act();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  });
}

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof Element && target.closest("input, textarea, select, [contenteditable], dialog") !== null;
