import { expect, it } from 'vitest'
import { emptyDraft, isWritten, reportOf } from './draft'

it('is written once it has a title and says something', () => {
  const draft = emptyDraft('i')

  expect(isWritten({ ...draft, description: 'Chest CT' })).toBe(false)
  expect(isWritten({ ...draft, description: 'Chest CT', findings: ' ' })).toBe(false)
  expect(isWritten({ ...draft, description: 'Chest CT', conclusion: 'Normal.' })).toBe(true)
})

it('names a study only if it is about one', () => {
  const draft = { ...emptyDraft('i'), description: ' Chest CT ', findings: 'Clear.' }

  expect(reportOf(draft)).toEqual({ description: 'Chest CT', findings: 'Clear.', conclusion: '', recommendation: '' })
  expect(reportOf({ ...draft, studyUid: '1.2' })).toMatchObject({ study_uid: '1.2' })
})
