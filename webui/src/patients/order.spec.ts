import { expect, it } from 'vitest'
import type { Study } from '../api'
import { newerStudyFirst } from './order'

const study = (study_uid: string, date: string | null, time: string | null = null) => ({ study_uid, date, time }) as Study

it('puts the newest study first and one without a date last', () => {
  const studies = [study('1', null), study('2', '2024-01-01', '08:00:00'), study('3', '2024-01-01', '09:30:00'), study('4', '2026-05-05')]

  expect(studies.sort(newerStudyFirst).map(({ study_uid }) => study_uid)).toEqual(['4', '3', '2', '1'])
})
