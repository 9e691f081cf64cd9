/**
 * Which pictures are on the line: a state and what happens to it, without any line.
 *
 * The hand is faster than the line. So the newest wanted picture goes first, few are under way at once, and what nobody
 * waits for any more is taken back, but not the oldest draft: it is the next that arrives, and without it a hand
 * that never rests would see nothing at all. Pictures for later are asked for only while nothing else is.
 */

import type { Grade } from './address'

export interface Wish {
  readonly key: string
  /** `ahead`: nobody looks at it yet. */
  readonly purpose: Grade | 'ahead'
}

export interface RequestState {
  /** The most urgent first. */
  readonly wishes: readonly Wish[]
  /** The oldest first. */
  readonly underWay: readonly Wish[]
}

export type RequestEvent =
  /** The hand moved, or came to rest: these are the pictures wanted now. */
  | { kind: 'wanted'; wishes: readonly Wish[] }
  /** It arrived or failed. Whether it is wanted again is for the next `wanted` to say. */
  | { kind: 'ended'; key: string }

export interface Step {
  readonly state: RequestState
  readonly start: readonly Wish[]
  readonly abort: readonly Wish[]
}

export const NOTHING_WANTED: RequestState = { wishes: [], underWay: [] }

export const LIMITS = {
  /** Under way at once; more would only share the same line. */
  underWay: 4,
  /** Of these, pictures for later. */
  ahead: 2,
  /** Drafts that are let finish though the hand has moved on. */
  passed: 2,
} as const

export function step(state: RequestState, event: RequestEvent): Step {
  return event.kind === 'wanted' ? replace(state, event.wishes) : end(state, event.key)
}

function replace(state: RequestState, wishes: readonly Wish[]): Step {
  const wanted = new Set(wishes.map(({ key }) => key))
  const passed = state.underWay.filter(({ key, purpose }) => !wanted.has(key) && purpose === 'draft').slice(0, LIMITS.passed)
  const kept = state.underWay.filter((wish) => wanted.has(wish.key) || passed.includes(wish))
  const stale = state.underWay.filter((wish) => !kept.includes(wish))
  return filled({ wishes, underWay: kept.map((wish) => wishes.find(({ key }) => key === wish.key) ?? wish) }, stale)
}

function end(state: RequestState, key: string): Step {
  const others = (wish: Wish) => wish.key !== key
  return filled({ wishes: state.wishes.filter(others), underWay: state.underWay.filter(others) }, [])
}

/** Starts what may start, and takes back pictures for later that stand in the way. */
function filled(state: RequestState, stale: readonly Wish[]): Step {
  const waiting = state.wishes.filter(({ key }) => !state.underWay.some((wish) => wish.key === key))
  const now = waiting.filter(({ purpose }) => purpose !== 'ahead')
  const inTheWay = now.length ? state.underWay.filter(({ purpose }) => purpose === 'ahead') : []
  const underWay = state.underWay.filter((wish) => !inTheWay.includes(wish))
  const start = now.slice(0, LIMITS.underWay - underWay.length)
  const isIdle = underWay.every(({ purpose }) => purpose === 'ahead') && !start.length
  const ahead = isIdle ? waiting.filter(({ purpose }) => purpose === 'ahead').slice(0, Math.max(0, LIMITS.ahead - underWay.length)) : []
  return {
    state: { wishes: state.wishes, underWay: [...underWay, ...start, ...ahead] },
    start: [...start, ...ahead],
    abort: [...stale, ...inTheWay],
  }
}
