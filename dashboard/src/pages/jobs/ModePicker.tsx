import { Input } from "../../ui/Field.tsx";

export type Mode = "ephemeral" | "workspace" | "base" | "fork";

const MODES: readonly (readonly [Mode, name: string, meaning: string])[] = [
  ["ephemeral", "Nothing is kept", "A fresh disk that goes with the machine. The fastest."],
  ["workspace", "Workspace", "Its files are there on the next run, on any node."],
  ["base", "Read-only base", "Starts from a workspace; changes are thrown away. Any number at a time."],
  ["fork", "Fork", "Starts from a workspace, and keeps the changes under another name."],
];

/** What becomes of the files of a run. */
export function ModePicker({ mode, onChange }: { mode: Mode; onChange: (mode: Mode) => void }) {
  return (
    <fieldset className="modes">
      <legend>Files</legend>
      <div className="choices">
        {MODES.map(([value, name, meaning]) => (
          <label key={value} className="choice">
            <input type="radio" name="mode" value={value} checked={mode === value} onChange={() => onChange(value)} />
            <span className="choice-text">
              <strong>{name}</strong>
              <small>{meaning}</small>
            </span>
          </label>
        ))}
      </div>
      <div className="columns">
        {(mode === "base" || mode === "fork") && (
          <Input label="Base workspace" name="base" required maxLength={80} placeholder="name, or name@version" />
        )}
        {(mode === "workspace" || mode === "fork") && (
          <Input label="Workspace" name="workspace" required maxLength={63} placeholder="my-project" />
        )}
      </div>
    </fieldset>
  );
}
