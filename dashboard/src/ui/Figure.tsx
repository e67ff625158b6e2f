/** A number that counts, and what it counts. */
export function Figure({ value, name }: { value: number | string; name: string }) {
  return (
    <div className="figure">
      <strong>{value}</strong>
      <span>{name}</span>
    </div>
  );
}
