import type { Failure } from '../api'
import { sentenceFor } from '../shared/failures'
import { accountTexts } from '../shared/texts'

/** What went wrong, in a sentence; with the refusals that only one's own account knows. */
export const sentenceOf = (failure: Failure): string =>
  (failure.kind === 'refused' && accountTexts.refused[failure.problem.type]) || sentenceFor(failure)
