interface BarsProps {
  title: string;
  /** beside the title */
  total: string;
  /** one a bar, from left to right */
  bars: readonly { name: string; value: number }[];
  show: (value: number) => string;
}

const HEIGHT = 100;
const GAP = 0.2;

/** Values beside each other, such as those of days. A screen reader gets the sum, the most and where it was; a table has to say the rest. */
export function Bars({ title, total, bars, show }: BarsProps) {
  const [first, last] = [bars[0], bars.at(-1)];
  const most = bars.reduce((high, bar) => (bar.value > high.value ? bar : high), { name: "", value: 0 });
  return (
    <figure className="chart bars">
      <figcaption>
        <span>{title}</span>
        <strong>{total}</strong>
      </figcaption>
      <svg
        viewBox={`0 0 ${Math.max(1, bars.length)} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${title}: ${total}${most.value > 0 ? `, most on ${most.name} with ${show(most.value)}` : ""}`}
      >
        {bars.map(({ name, value }, index) => {
          const height = most.value === 0 ? 0 : Math.max(value > 0 ? 2 : 0, (value / most.value) * (HEIGHT - 4));
          return (
            <g key={name}>
              <rect className="bar-place" x={index} y={0} width={1} height={HEIGHT}>
                <title>{`${name}: ${show(value)}`}</title>
              </rect>
              <rect className="bar-fill" x={index + GAP / 2} y={HEIGHT - height} width={1 - GAP} height={height} />
            </g>
          );
        })}
      </svg>
      <p className="axis" aria-hidden="true">
        <span>{first?.name}</span>
        <span>{most.value > 0 && `most ${show(most.value)}`}</span>
        <span>{last !== first && last?.name}</span>
      </p>
    </figure>
  );
}
