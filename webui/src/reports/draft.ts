/** A report before it is saved. */

import type { NewReport, ReportText } from '../api'

export interface Draft extends ReportText {
  institutionId: string
  /** Empty: of no particular study. */
  studyUid: string
}

export const emptyDraft = (institutionId: string): Draft => ({
  institutionId,
  studyUid: '',
  description: '',
  findings: '',
  conclusion: '',
  recommendation: '',
})

/** A title, and something said: findings or a conclusion. */
export const isWritten = ({ description, findings, conclusion }: Draft): boolean =>
  Boolean(description.trim() && (findings.trim() || conclusion.trim()))

export function reportOf({ studyUid, description, findings, conclusion, recommendation }: Draft): NewReport {
  const text = {
    description: description.trim(),
    findings: findings.trim(),
    conclusion: conclusion.trim(),
    recommendation: recommendation.trim(),
  }
  return studyUid ? { study_uid: studyUid, ...text } : text
}
