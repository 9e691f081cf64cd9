import { describe, expect, it } from 'vitest'
import { chosen, chosenBy, keep, meantBy, pressedFor } from './keys'

function store() {
  const kept = new Map<string, string>()
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  }
}

describe('keys of one’s own', () => {
  it('mean what the usual key meant, which means nothing then', () => {
    const own = chosen({}, 'W', 'L')

    expect(meantBy(own, 'L')).toBe('W')
    expect(pressedFor(own, 'W')).toBe('L')
    expect(meantBy(own, 'P')).toBe('P')
  })

  it('change places with what they meant before, so that nothing is without a key', () => {
    const own = chosen({}, 'W', 'P')

    expect([meantBy(own, 'P'), meantBy(own, 'W')]).toEqual(['W', 'P'])
  })

  it('stay one for one however often they are changed', () => {
    let own = chosen({}, 'W', 'P')
    own = chosen(own, 'Z', 'W')
    own = chosen(own, 'W', 'B')
    const usual = ['W', 'P', 'Z', 'B']

    const pressed = usual.map((key) => pressedFor(own, key))

    expect(new Set(pressed).size).toBe(usual.length)
    expect(pressed.map((key) => meantBy(own, key))).toEqual(usual)
  })

  it('are forgotten when they are the usual ones again', () => {
    expect(chosen(chosen({}, 'W', 'P'), 'W', 'W')).toEqual({})
  })

  it('are kept for each person', () => {
    const browser = store()
    keep('ana', chosen({}, 'W', 'L'), browser)

    expect(chosenBy('ana', browser)).toEqual({ W: 'L', L: 'W' })
    expect(chosenBy('ivo', browser)).toEqual({})
  })

  it('that were spoilt are the usual ones', () => {
    const browser = store()
    for (const spoilt of ['{', '[]', '{"W":7}', '{"Enter":"L"}', 'null']) {
      browser.setItem('keys ana', spoilt)
      expect(chosenBy('ana', browser)).toEqual({})
    }
  })
})
