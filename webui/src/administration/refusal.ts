import type { Failure } from '../api'
import { sentenceFor } from '../shared/failures'
import { administrationTexts as texts } from '../shared/texts'

type Pointing = keyof typeof texts.pointing

/** What went wrong, in a sentence for an administrator: of what cannot be deleted, what points to it. */
export function refusalOf(failure: Failure): string {
  if (failure.kind !== 'refused') return sentenceFor(failure)
  const { problem } = failure
  if (problem.type === 'pointed-to') return texts.pointedTo(whatPoints(problem).join(', '))
  return texts.refused[problem.type] ?? sentenceFor(failure)
}

function whatPoints(problem: Readonly<Record<string, unknown>>): string[] {
  return (Object.keys(texts.pointing) as Pointing[]).flatMap((what) => {
    const amount = problem[what]
    if (what === 'is_believed') return amount === true ? [texts.pointing.is_believed] : []
    return typeof amount === 'number' && amount > 0 ? [texts.pointing[what](amount)] : []
  })
}
