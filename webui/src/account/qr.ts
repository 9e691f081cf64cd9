/** A QR code as the path of an SVG, one unit a module: its rows from the top, 1 is dark. Runs of dark modules are one rectangle. */
export function pathOf(rows: string[]): string {
  return rows.flatMap((row, y) => [...row.matchAll(/1+/g)].map(({ index, 0: run }) => `M${index} ${y}h${run.length}v1h-${run.length}z`)).join('')
}
