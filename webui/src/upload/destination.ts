import type { Directory, NodeEntry } from '../api'

/** The first node of one's institution; of somebody without an institution, the first there is. */
export function destinationFor({ institutions }: Directory, institutionId: string | null): NodeEntry | null {
  const home = institutions.find(({ id }) => id === institutionId)
  const candidates = home ? home.nodes : institutions.flatMap(({ nodes }) => nodes)
  return candidates[0] ?? null
}
