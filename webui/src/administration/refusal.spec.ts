import { describe, expect, it } from 'vitest'
import type { Failure } from '../api'
import { refusalOf } from './refusal'
import { administrationTexts as texts } from '../shared/texts'

const refused = (type: string, members: Record<string, unknown> = {}): Failure => ({
  kind: 'refused',
  problem: { type, title: 'No', status: 409, ...members },
  retryAfterS: null,
})

describe('a refusal to delete', () => {
  it('says all that points to it and nothing that does not', () => {
    const sentence = refusalOf(refused('pointed-to', { accounts: 2, patients: 0, numbers: 1, is_believed: true }))

    expect(sentence).toBe(
      texts.pointedTo([texts.pointing.accounts(2), texts.pointing.numbers(1), texts.pointing.is_believed].join(', ')),
    )
  })

  it('does not speak of an enrolment that there is not', () => {
    expect(refusalOf(refused('pointed-to', { studies: 3, is_believed: false }))).toBe(texts.pointedTo(texts.pointing.studies(3)))
  })
})

describe('another refusal', () => {
  it('is said in words for administrators where there are some', () => {
    expect(refusalOf(refused('own-account'))).toBe(texts.refused['own-account'])
  })

  it('is said as the server says it where there are none', () => {
    expect(refusalOf(refused('no-such-thing'))).toContain('No')
  })
})
