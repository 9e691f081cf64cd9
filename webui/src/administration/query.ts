/** The query of a list. What is not filled in is left out: servers refuse an empty filter, so that none widens a list. */

export function queryOf(filters: Readonly<Record<string, string>>): string {
  const said = Object.entries(filters).map(([name, value]) => [name, value.trim()] as [string, string])
  return new URLSearchParams(said.filter(([, value]) => value)).toString()
}

/** The other end of the same order, or the beginning of another. */
export const turned = (sort: string, by: string): string => (sort === by ? `-${by}` : by)

export const ariaSort = (sort: string, by: string): 'ascending' | 'descending' | 'none' =>
  sort === by ? 'ascending' : sort === `-${by}` ? 'descending' : 'none'

/** The day after, as servers count days: a list until the end of a day is one before the next. */
export function dayAfter(day: string): string {
  const instant = Date.parse(`${day}T00:00:00Z`)
  return Number.isNaN(instant) ? '' : new Date(instant + 86_400_000).toISOString().slice(0, 10)
}
