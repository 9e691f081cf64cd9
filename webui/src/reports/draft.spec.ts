import { describe, expect, it } from 'vitest'
import type { ImageLink, Report, ReportVersion } from '../api'
import { amendmentOf, draftOf, finalOf, isReasoned, isSame, isWritten, newDraft, toggled, toKeep } from './draft'

const begun = newDraft('r', 'p', 'i', '2026-11-22')
const version = (number: number, state: ReportVersion['state'], findings = 'Clear.'): ReportVersion => ({
  number,
  state,
  author: { id: 'a', name: 'Ana Anić' },
  begun_at: '',
  changed_at: '',
  description: 'CT',
  findings,
  conclusion: '',
  recommendation: '',
  record_type: '',
  date: null,
  study_uid: null,
  images: [],
  reason: 'because',
  signature: null,
})
const report = (...versions: ReportVersion[]): Report => ({ id: 'r', patient_id: 'p', tag: '1.1', versions })
const image: ImageLink = { institution_id: 'i', node_id: 'n', study_uid: '1', series_uid: '1.1', instance_uid: null, frame: null }

describe('a draft', () => {
  it('is written once it has a title and says something', () => {
    expect(isWritten({ ...begun, description: 'Chest CT' })).toBe(false)
    expect(isWritten({ ...begun, description: 'Chest CT', findings: ' ' })).toBe(false)
    expect(isWritten({ ...begun, description: 'Chest CT', conclusion: 'Normal.' })).toBe(true)
  })

  it('of an amendment has the text of the version before, and says why', () => {
    const amendment = amendmentOf(report(version(1, 'signed')), 'i')

    expect(amendment).toMatchObject({ version: 2, findings: 'Clear.', reason: '' })
    expect(isReasoned(amendment)).toBe(false)
    expect(isReasoned({ ...amendment, reason: 'Overlooked' })).toBe(true)
  })

  it('is the last version, if that is one', () => {
    const both = report(version(1, 'signed'), version(2, 'draft', 'A nodule.'))

    expect(draftOf(both, 'i')).toMatchObject({ version: 2, findings: 'A nodule.' })
    expect(finalOf(both)?.number).toBe(1)
    expect(draftOf(report(version(1, 'signed')), 'i')).toBeNull()
  })

  it('is the same wherever its parts come from', () => {
    const draft = draftOf(report(version(2, 'draft')), 'i')!

    expect(isSame(draft, version(2, 'draft'))).toBe(true)
    expect(isSame({ ...draft, date: '' }, version(2, 'draft'))).toBe(true)
    expect(isSame({ ...draft, images: [image] }, version(2, 'draft'))).toBe(false)
  })

  it('is sent without what only the page knows', () => {
    expect(Object.keys(toKeep({ ...begun, date: '' })).sort()).toEqual([
      'conclusion', 'date', 'description', 'findings', 'images', 'patient_id', 'reason', 'recommendation', 'record_type', 'study_uid',
    ])
    expect(toKeep({ ...begun, date: '' }).date).toBeNull()
  })

  it('has an image once, and not any more when it is chosen again', () => {
    const frame = { ...image, instance_uid: '1.1.1', frame: 2 }

    expect(toggled([image], frame)).toEqual([image, frame])
    expect(toggled([image, frame], { ...image })).toEqual([frame])
  })
})
