import { describe, expect, it } from 'vitest'
import { ariaSort, dayAfter, queryOf, turned } from './query'

describe('the query of a list', () => {
  it('leaves out what is not filled in', () => {
    expect(queryOf({ search: ' ', role: '', state: 'here' })).toBe('state=here')
  })

  it('says what is filled in without blanks around it', () => {
    expect(queryOf({ search: ' Žilić & co ' })).toBe('search=%C5%BDili%C4%87+%26+co')
  })

  it('is empty when nothing is asked for', () => {
    expect(queryOf({})).toBe('')
  })
})

describe('an order', () => {
  it('is turned round by its own column and replaced by another', () => {
    expect(turned('name', 'name')).toBe('-name')
    expect(turned('-name', 'name')).toBe('name')
    expect(turned('-name', 'username')).toBe('username')
  })

  it('is told to screen readers', () => {
    expect(['name', '-name', 'username'].map((sort) => ariaSort(sort, 'name'))).toEqual(['ascending', 'descending', 'none'])
  })
})

describe('the day after', () => {
  it('is in the next month or year where it must be', () => {
    expect([dayAfter('2026-11-30'), dayAfter('2026-12-31'), dayAfter('2028-02-28')]).toEqual(['2026-12-01', '2027-01-01', '2028-02-29'])
  })

  it('is none of what is no day', () => {
    expect(dayAfter('')).toBe('')
  })
})
