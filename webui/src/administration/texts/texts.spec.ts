import { describe, expect, it } from 'vitest'
import { textsFor } from '.'
import { en } from './en'
import { hr } from './hr'

describe('the language of these pages', () => {
  it('is the first preferred one that there is', () => {
    expect(textsFor(['de-AT', 'hr-HR', 'en'])).toBe(hr)
    expect(textsFor(['en-US', 'hr'])).toBe(en)
  })

  it('is English where there is no other', () => {
    expect(textsFor(['de'])).toBe(en)
    expect(textsFor([])).toBe(en)
  })
})

describe('Croatian', () => {
  it('counts as Croatian does', () => {
    expect([1, 2, 5, 21, 112].map((count) => hr.pointing.studies(count))).toEqual([
      '1 studija',
      '2 studije',
      '5 studija',
      '21 studija',
      '112 studija',
    ])
  })

  it('has a text of its own for every one in English', () => {
    const same = leavesOf(en).filter(([path, text]) => typeof text === 'string' && leaves.get(path) === text)

    expect(same.map(([path]) => path)).toEqual(['accounts.roles.administrator', 'ping.asking'])
  })
})

const leaves = new Map(leavesOf(hr))

function leavesOf(value: object, path = ''): [string, unknown][] {
  return Object.entries(value).flatMap(([name, inner]) => {
    const here = path ? `${path}.${name}` : name
    return typeof inner === 'object' ? leavesOf(inner as object, here) : [[here, inner] as [string, unknown]]
  })
}
