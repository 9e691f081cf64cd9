import { describe, expect, it } from 'vitest'
import { speak, texts } from '.'
import * as en from './en'
import * as hr from './hr'

describe('the language of the page', () => {
  it('is the first preferred one that there is', async () => {
    expect(await speak(['de-AT', 'hr-HR', 'en'])).toBe('hr')
    expect(texts.login.submit).toBe('Prijavi se')
    expect(await speak(['en-US', 'hr'])).toBe('en')
    expect(texts.login.submit).toBe('Log in')
  })

  it('is English where there is no other', async () => {
    expect(await speak(['de'])).toBe('en')
    expect(await speak([])).toBe('en')
  })
})

describe('Croatian', () => {
  it('counts as Croatian does', () => {
    expect([1, 2, 5, 21, 112, 1000].map(hr.page.studies.count)).toEqual([
      '1 studija',
      '2 studije',
      '5 studija',
      '21 studija',
      '112 studija',
      '1.000 studija',
    ])
    expect([1, 2, 5, 21].map(hr.reports.count)).toEqual(['1 slika', '2 slike', '5 slika', '21 slika'])
  })

  it('has a text of its own for every one in English, but for what is the same in both', () => {
    const inCroatian = new Map(leavesOf(hr))
    const same = leavesOf(en).filter(([path, text]) => typeof text === 'string' && inCroatian.get(path) === text)

    expect(same.map(([path]) => path).sort()).toEqual([
      'account.data.roleNames.administrator',
      'administration.accounts.roles.administrator',
      'administration.ping.asking',
      'marking.bases.pixel-spacing',
      'marking.deviation',
      'marking.suv',
      'outgoing.pin',
      'page.product',
    ])
  })

  it('has a sentence for every refusal for which English has one', () => {
    const inCroatian = new Set(leavesOf(hr).map(([path]) => path))

    expect(leavesOf(en).flatMap(([path]) => (inCroatian.has(path) ? [] : [path]))).toEqual([])
  })
})

function leavesOf(value: object, path = ''): [string, unknown][] {
  return Object.entries(value).flatMap(([name, inner]) => {
    const here = path ? `${path}.${name}` : name
    return typeof inner === 'object' ? leavesOf(inner as object, here) : [[here, inner] as [string, unknown]]
  })
}
