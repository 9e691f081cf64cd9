import type { Failure } from '../../api'

const FIRST_MS = 1_000
const LONGEST_MS = 15_000

/** When to ask again by itself after the `tries`-th failure (from 0); null for what would only be refused again. */
export function subsequentDelayMs(failure: Failure, tries: number): number | null {
  if (failure.kind === 'aborted') return null
  if (failure.kind === 'refused' && failure.problem.status < 500 && failure.problem.status !== 429) return null
  const waitMs = failure.kind === 'refused' ? (failure.retryAfterS ?? 0) * 1000 : 0
  return Math.max(waitMs, Math.min(LONGEST_MS, FIRST_MS * 2 ** tries))
}
