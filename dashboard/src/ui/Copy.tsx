import { useState } from "react";
import { Button } from "./Button.tsx";

const SHOWN_MS = 2000;

/** A value that one takes away: it is shown, and copied by a button that says so. */
export function Copy({ value, label, block = false }: { value: string; label: string; block?: boolean }) {
  const [done, setDone] = useState<"" | "Copied" | "Select it and copy">("");
  const copy = async () => {
    // Outside of HTTPS and localhost browsers give no clipboard.
    const put = navigator.clipboard?.writeText(value) ?? Promise.reject();
    setDone(await put.then(() => "Copied" as const).catch(() => "Select it and copy" as const));
    setTimeout(() => setDone(""), SHOWN_MS);
  };
  return (
    <div className={block ? "copy block" : "copy"}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: keyboards have to reach what may scroll */}
      {block ? <pre tabIndex={0}>{value}</pre> : <code>{value}</code>}
      <Button onClick={() => void copy()} aria-label={`Copy ${label}`}>
        {done || "Copy"}
      </Button>
    </div>
  );
}
