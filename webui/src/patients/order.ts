import type { Study } from '../api'

/** Newest first, whichever institution it comes from; a study without a date comes last. */
export function newerStudyFirst(one: Study, other: Study): number {
  return instantOf(other).localeCompare(instantOf(one)) || one.study_uid.localeCompare(other.study_uid)
}

const instantOf = ({ date, time }: Study): string => (date ? `${date} ${time ?? ''}` : '')
