import { describe, expect, it } from 'vitest'
import { ageOn, writtenDay, writtenTime } from './dates'

describe('a date', () => {
  it('is the same day in every time zone', () => expect(writtenDay('1970-01-31')).toBe('31 Jan 1970'))
  it('is shown as it came if it is none', () => expect(writtenDay('1970-13')).toBe('1970-13'))
  it('has a time of hours and minutes', () => expect(writtenTime('10:54:00')).toBe('10:54'))
})

describe('an age', () => {
  it('grows on the birthday', () => {
    expect(ageOn('1970-06-15', '2026-06-14')).toBe(55)
    expect(ageOn('1970-06-15', '2026-06-15')).toBe(56)
  })
  it('is not known of someone not yet born', () => expect(ageOn('2030-01-01', '2026-01-01')).toBeNull())
})
