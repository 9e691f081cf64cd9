import type { Failure } from '../api'
import { texts } from './texts'

/** What went wrong, in a sentence for the one at the screen. */
export function sentenceFor(failure: Failure): string {
  if (failure.kind !== 'refused') return texts.failure[failure.kind]
  const { type, title, status } = failure.problem
  return texts.failure.byType[type] ?? texts.failure.other(title, status)
}
