/** A report while it is written. */

import type { ImageLink, Report, ReportVersion, DraftToKeep } from '../api'

export interface Draft extends DraftToKeep {
  readonly reportId: string
  readonly institutionId: string
  /** 1 of a new report. */
  readonly version: number
}

export const newDraft = (reportId: string, patientId: string, institutionId: string, date: string): Draft => ({
  reportId,
  institutionId,
  version: 1,
  patient_id: patientId,
  description: '',
  findings: '',
  conclusion: '',
  recommendation: '',
  record_type: '',
  date,
  study_uid: null,
  images: [],
  reason: '',
})

const ofVersion = (report: Report, institutionId: string, version: ReportVersion): Draft => ({
  ...newDraft(report.id, report.patient_id, institutionId, ''),
  version: version.number,
  ...contentOf(version),
})

/** The draft of a report as the server has it; null where there is none. */
export function draftOf(report: Report, institutionId: string): Draft | null {
  const last = lastOf(report)
  return last.state === 'draft' ? ofVersion(report, institutionId, last) : null
}

/** The next version, which begins as the last one is. */
export function amendmentOf(report: Report, institutionId: string): Draft {
  const last = lastOf(report)
  return { ...ofVersion(report, institutionId, last), version: last.number + 1, reason: '' }
}

export const lastOf = (report: Report): ReportVersion => report.versions.at(-1)!

/** The newest version that is no draft. */
export const finalOf = (report: Report): ReportVersion | null => report.versions.findLast(({ state }) => state !== 'draft') ?? null

type Content = Omit<DraftToKeep, 'patient_id'>

const PARTS = ['description', 'findings', 'conclusion', 'recommendation', 'record_type', 'date', 'study_uid', 'images', 'reason'] as const

/** Only what is written, in one order, so that two are the same if their JSON is. */
export const contentOf = (from: Content): Content => Object.fromEntries(PARTS.map((part) => [part, from[part]])) as unknown as Content

export const toKeep = (draft: Draft): DraftToKeep => ({ patient_id: draft.patient_id, ...contentOf({ ...draft, date: draft.date || null }) })

export const isSame = (one: Content, other: Content): boolean => {
  const written = (content: Content) => JSON.stringify({ ...contentOf(content), date: content.date || null, images: content.images.map(nameOfImage) })
  return written(one) === written(other)
}

/** A title, and something said: findings or a conclusion. */
export const isWritten = ({ description, findings, conclusion }: Draft): boolean =>
  Boolean(description.trim() && (findings.trim() || conclusion.trim()))

/** An amendment says why. */
export const isReasoned = ({ version, reason }: Draft): boolean => version === 1 || Boolean(reason.trim())

export const nameOfImage = (image: ImageLink): string =>
  [image.node_id, image.study_uid, image.series_uid, image.instance_uid ?? '', image.frame ?? ''].join(' ')

/** `images` with one that was not there, or without one that was. */
export function toggled(images: ImageLink[], image: ImageLink): ImageLink[] {
  const rest = images.filter((one) => nameOfImage(one) !== nameOfImage(image))
  return rest.length < images.length ? rest : [...images, image]
}
