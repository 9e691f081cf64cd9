import { describe, expect, it } from 'vitest'
import { AHEAD_LIMIT, NOTHING_WANTED, ROOM, step, type RequestEvent, type RequestState, type Wish } from './requests'

const draft = (key: string): Wish => ({ key, purpose: 'draft' })
const final = (key: string): Wish => ({ key, purpose: 'final' })
const ahead = (key: string): Wish => ({ key, purpose: 'ahead' })
const wanted = (...wishes: Wish[]): RequestEvent => ({ kind: 'wanted', wishes })
const ended = (key: string): RequestEvent => ({ kind: 'ended', key })
const keys = (wishes: readonly Wish[]) => wishes.map(({ key }) => key)

function after(...events: RequestEvent[]) {
  let result = { state: NOTHING_WANTED as RequestState, start: [] as readonly Wish[], abort: [] as readonly Wish[] }
  for (const event of events) result = step(result.state, event)
  return { start: keys(result.start), abort: keys(result.abort), underWay: keys(result.state.underWay) }
}

describe('what is wanted', () => {
  it('is asked for at once', () => expect(after(wanted(draft('a'), final('A')))).toMatchObject({ start: ['a', 'A'] }))

  it('is not asked for twice', () => expect(after(wanted(draft('a')), wanted(draft('a'), final('A'))).start).toEqual(['A']))

  it('never exceeds the limit', () => {
    expect(after(wanted(...'abcdefg'.split('').map(draft))).underWay).toHaveLength(ROOM.limit)
  })

  it('does not wait for drafts to come once the hand rests', () => {
    const passed = 'abcdef'.split('').map(draft)

    expect(after(wanted(...passed), wanted(...passed, final('F'))).start).toEqual(['F'])
    expect(after(wanted(...passed, final('F')), ended('a')).start).toEqual(['e'])
  })

  it('may be more where the line takes more', () => {
    expect(after({ kind: 'wanted', wishes: 'abcdefg'.split('').map(draft), limit: 6 }, ended('a')).underWay).toHaveLength(6)
  })

  it('follows when a place is free', () => {
    expect(after(wanted(...'abcde'.split('').map(draft)), ended('b'))).toMatchObject({ start: ['e'] })
  })
})

describe('what is wanted no more', () => {
  it('is taken back if it is a final picture', () => {
    expect(after(wanted(final('A')), wanted(draft('b')))).toMatchObject({ abort: ['A'], start: ['b'] })
  })

  it('is let finish if it is a draft, and the newest wanted follows it', () => {
    const moving = [...'abcdefg'].map((key) => wanted(draft(key)))

    expect(after(...moving)).toEqual({ underWay: ['a', 'b', 'c', 'd'], abort: [], start: [] })
    expect(after(...moving, ended('a'))).toEqual({ underWay: ['b', 'c', 'd', 'g'], abort: [], start: ['g'] })
  })

  it('is taken back when a newer one has come before it', () => {
    const moving = [...'abcd'].map((key) => wanted(draft(key)))

    expect(after(...moving, ended('c'))).toEqual({ underWay: ['d'], abort: ['a', 'b'], start: [] })
  })

  it('is taken back at once where no draft is to finish', () => {
    const jumped = after(wanted(draft('a'), draft('b')), { kind: 'wanted', wishes: [draft('z')], letFinish: false })

    expect(jumped).toEqual({ underWay: ['z'], abort: ['a', 'b'], start: ['z'] })
  })

  it('is taken back with everything else when nothing is wanted', () => {
    expect(after(wanted(final('A'), ahead('x')), wanted()).abort).toEqual(['A'])
    expect(after(wanted(ahead('x')), wanted()).abort).toEqual(['x'])
  })
})

describe('stored values', () => {
  const values = (key: string): Wish => ({ key, purpose: 'values' })

  it('come with their picture, and before the pictures for later', () => {
    expect(after(wanted(final('A'), values('v'), ahead('x'))).start).toEqual(['A', 'v'])
    expect(after(wanted(final('A'), values('v'), ahead('x')), ended('A')).start).toEqual([])
    expect(after(wanted(values('v'), ahead('x')), ended('v')).start).toEqual(['x'])
  })

  it('give way to a picture that is wanted', () => {
    expect(after(wanted(values('v')), wanted(draft('b')))).toMatchObject({ abort: ['v'], start: ['b'] })
  })
})

describe('pictures for later', () => {
  it('wait until nothing else is under way', () => {
    expect(after(wanted(final('A'), ahead('x'))).start).toEqual(['A'])
    expect(after(wanted(final('A'), ahead('x')), ended('A')).start).toEqual(['x'])
  })

  it('are few at once', () => {
    expect(after(wanted(...'uvwxyz'.split('').map(ahead))).start).toHaveLength(AHEAD_LIMIT)
  })

  it('come one after the other', () => {
    expect(after(wanted(ahead('x'), ahead('y'), ahead('z')), ended('x'))).toMatchObject({ underWay: ['y', 'z'] })
  })

  it('give way to the first picture that is wanted', () => {
    expect(after(wanted(ahead('x'), ahead('y')), wanted(draft('a'), ahead('x')))).toMatchObject({ start: ['a'], underWay: ['a'] })
  })

  it('are not asked for again when they become wanted on the way', () => {
    expect(after(wanted(ahead('x')), wanted(draft('x')))).toEqual({ start: [], abort: [], underWay: ['x'] })
  })
})
