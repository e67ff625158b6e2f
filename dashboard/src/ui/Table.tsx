import type { ReactNode } from "react";

interface TableProps<Row> {
  /** what a row is, for screen readers */
  label: string;
  /** headings; an empty one is that of actions */
  columns: string[];
  rows: readonly Row[];
  keyOf: (row: Row) => string | number;
  cells: (row: Row) => ReactNode[];
}

/** Rows of things that are alike. On a narrow screen each row becomes a card whose lines are named. */
export function Table<Row>({ label, columns, rows, keyOf, cells }: TableProps<Row>) {
  return (
    <table className="list" aria-label={label}>
      <thead>
        <tr>
          {columns.map((name) => (
            <th key={name} scope="col">
              {name || <span className="hidden">Actions</span>}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={keyOf(row)}>
            {cells(row).map((cell, index) => (
              <td key={columns[index]} data-name={columns[index] || undefined}>
                {cell}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
