export interface Point {
  at: number;
  value: number;
}

interface ChartProps {
  title: string;
  points: Point[];
  /** the limit: top of the scale, unless a value is higher; without one the highest value is */
  most?: number | undefined;
  show: (value: number) => string;
}

const WIDTH = 480;
const HEIGHT = 90;

/** A line over time, and what it is now in words; the words are what a screen reader gets. */
export function Chart({ title, points, most, show }: ChartProps) {
  const last = points.at(-1);
  const top = Math.max(most ?? 0, ...points.map(({ value }) => value)) || 1;
  const peak = Math.max(0, ...points.map(({ value }) => value));
  const path = pathOf(points, top);
  return (
    <figure className="chart">
      <figcaption>
        <span>{title}</span>
        <strong>{last ? show(last.value) : "–"}</strong>
        <small>
          {[most && `of ${show(most)}`, points.length > 1 && `most ${show(peak)}`].filter(Boolean).join(", ")}
        </small>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {path && <path className="area" d={`${path} L${WIDTH},${HEIGHT} L0,${HEIGHT} Z`} />}
        {path && <path className="line" d={path} vectorEffect="non-scaling-stroke" />}
      </svg>
    </figure>
  );
}

function pathOf(points: Point[], top: number): string {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last || first === last) return "";
  const x = (at: number) => ((at - first.at) / (last.at - first.at)) * WIDTH;
  const y = (value: number) => HEIGHT - 2 - (value / top) * (HEIGHT - 6);
  return points
    .map(({ at, value }, index) => `${index ? "L" : "M"}${x(at).toFixed(1)},${y(value).toFixed(1)}`)
    .join(" ");
}
