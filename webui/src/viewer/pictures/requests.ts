/**
 * Which pictures are on the line: a state and what happens to it, without any line.
 *
 * The hand is faster than the line. So what is wanted goes in its order, only so many are under way at once, and what
 * nobody waits for any more is taken back. Where pictures replace each other, as of a turning volume, a draft is let
 * finish until a newer one has come: it takes longer to draw than the hand to go on, the server draws the newest first, and
 * one that were taken back as soon as the hand went on would be drawn for nobody. Pictures for later are asked for only
 * while nothing else is.
 */

import type { Grade } from './address'

export interface Wish {
  readonly key: string
  /** `values`: the stored values behind a picture that is shown; `ahead`: nobody looks at it yet. */
  readonly purpose: Grade | 'values' | 'ahead'
}

export interface RequestState {
  /** The most urgent first. */
  readonly wishes: readonly Wish[]
  /** The oldest first. */
  readonly underWay: readonly Wish[]
  /** So many drafts may be. What is wanted at rest stands behind them on the line and takes what they leave of it. */
  readonly limit: number
}

export type RequestEvent =
  /** The hand moved, or came to rest: these are the pictures wanted now. */
  | ({ kind: 'wanted'; wishes: readonly Wish[] } & Partial<Room>)
  /** It arrived or failed. Whether it is wanted again is for the next `wanted` to say. */
  | { kind: 'ended'; key: string }

export interface Room {
  /** Drafts under way at once; more would only wait in the line. */
  readonly limit: number
  /** Whether drafts are let finish though the hand has moved on. */
  readonly letFinish: boolean
}

export interface Step {
  readonly state: RequestState
  readonly start: readonly Wish[]
  readonly abort: readonly Wish[]
}

export const ROOM: Room = { limit: 4, letFinish: true }
/** Pictures for later under way at once. */
export const AHEAD_LIMIT = 2

export const NOTHING_WANTED: RequestState = { wishes: [], underWay: [], limit: ROOM.limit }

export function step(state: RequestState, event: RequestEvent): Step {
  return event.kind === 'wanted' ? replace(state, event.wishes, { ...ROOM, ...event }) : end(state, event.key)
}

const isDraft = ({ purpose }: Wish): boolean => purpose === 'draft'

const isIdleWork = ({ purpose }: Wish): boolean => purpose === 'ahead'

function replace(state: RequestState, wishes: readonly Wish[], { limit, letFinish }: Room): Step {
  const wanted = new Set(wishes.map(({ key }) => key))
  const kept = state.underWay.filter(({ key, purpose }) => wanted.has(key) || (letFinish && purpose === 'draft'))
  const stale = state.underWay.filter((wish) => !kept.includes(wish))
  const underWay = kept.map((wish) => wishes.find(({ key }) => key === wish.key) ?? wish)
  return filled({ wishes, underWay, limit }, stale)
}

function end(state: RequestState, key: string): Step {
  const others = (wish: Wish) => wish.key !== key
  const wanted = new Set(state.wishes.map((wish) => wish.key))
  const place = state.underWay.findIndex((wish) => wish.key === key)
  const overtaken = state.underWay.filter((wish, index) => index < place && !wanted.has(wish.key))
  const underWay = state.underWay.filter((wish) => others(wish) && !overtaken.includes(wish))
  return filled({ ...state, wishes: state.wishes.filter(others), underWay }, overtaken)
}

/** Starts what may start, and takes back what is for later and stands in the way. */
function filled(state: RequestState, stale: readonly Wish[]): Step {
  const waiting = state.wishes.filter(({ key }) => !state.underWay.some((wish) => wish.key === key))
  const now = waiting.filter((wish) => !isIdleWork(wish))
  const inTheWay = now.length ? state.underWay.filter(isIdleWork) : []
  const underWay = state.underWay.filter((wish) => !inTheWay.includes(wish))
  const drafts = now.filter(isDraft).slice(0, Math.max(0, state.limit - underWay.filter(isDraft).length))
  const start = now.filter((wish) => !isDraft(wish) || drafts.includes(wish))
  const later = start.length || !underWay.every(isIdleWork) ? [] : forLater(waiting, underWay)
  return {
    state: { ...state, underWay: [...underWay, ...start, ...later] },
    start: [...start, ...later],
    abort: [...stale, ...inTheWay],
  }
}

const forLater = (waiting: readonly Wish[], underWay: readonly Wish[]): readonly Wish[] =>
  waiting.filter(isIdleWork).slice(0, Math.max(0, AHEAD_LIMIT - underWay.length))
