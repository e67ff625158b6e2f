interface MeterProps {
  name: string;
  value: number;
  /** null is no limit */
  most: number | null;
  show: (value: number) => string;
}

/** From here on a limit is close. */
const CLOSE = 0.8;

/** How much of a limit is used, as a bar and in words; the words are what a screen reader gets. */
export function Meter({ name, value, most, show }: MeterProps) {
  const share = most === null ? 0 : most === 0 ? 1 : Math.min(1, value / most);
  const tone = share >= 1 ? "bad" : share >= CLOSE ? "warn" : "";
  const words = `${show(value)} ${most === null ? "used, no limit" : `of ${show(most)}`}`;
  return (
    <div className="meter">
      <span>{name}</span>
      {most === null ? <span>{words}</span> : <strong>{words}</strong>}
      {most !== null && (
        <div className={`bar ${tone}`} aria-hidden="true">
          <div style={{ width: `${share * 100}%` }} />
        </div>
      )}
    </div>
  );
}
