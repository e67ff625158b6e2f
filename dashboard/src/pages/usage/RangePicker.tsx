import type { UsageRange } from "../../api/usage.ts";
import { Button } from "../../ui/Button.tsx";
import { Input } from "../../ui/Field.tsx";
import { lastDays } from "./days.ts";

const PRESETS = [7, 30, 90];

/** The days that are looked at. */
export function RangePicker({
  range,
  onChange,
}: {
  range: UsageRange;
  onChange: (range: Partial<UsageRange>) => void;
}) {
  return (
    <div className="inline">
      {(["from", "to"] as const).map((end) => (
        <Input
          key={end}
          label={end === "from" ? "From" : "To"}
          type="date"
          value={range[end]}
          max={lastDays().to}
          onChange={(event) => onChange({ [end]: event.target.value })}
        />
      ))}
      <fieldset className="presets">
        <legend className="hidden">The last days</legend>
        {PRESETS.map((count) => {
          const preset = lastDays(count);
          const chosen = preset.from === range.from && preset.to === range.to;
          return (
            <Button key={count} aria-pressed={chosen} onClick={() => onChange(preset)}>
              {count} days
            </Button>
          );
        })}
      </fieldset>
    </div>
  );
}
