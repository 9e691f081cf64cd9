import { describe, expect, it } from 'vitest'
import type { Scene } from '../view'
import { isOnTheWay, passedBetween } from './passage'

const frame = (index: number): Scene => ({ kind: 'frame', index })
const plane = (axis: 'axial' | 'coronal', index: number, mm = 0): Scene => ({
  kind: 'plane',
  axis,
  index,
  slab: { mm, method: 'average_ip' },
})

describe('the way of a hand', () => {
  it('has the slices between, in the direction of travel', () => {
    expect(passedBetween(frame(5), frame(8))).toEqual([6, 7, 8].map(frame))
    expect(passedBetween(frame(5), frame(3))).toEqual([4, 3].map(frame))
    expect(passedBetween(frame(5), frame(5))).toEqual([])
  })

  it('is one through a stack, and through planes of one direction and thickness', () => {
    expect(isOnTheWay(frame(5), frame(6))).toBe(true)
    expect(isOnTheWay(plane('axial', 5), plane('axial', 6))).toBe(true)
    expect(isOnTheWay(plane('axial', 5), plane('coronal', 6))).toBe(false)
    expect(isOnTheWay(plane('axial', 5), plane('axial', 6, 10))).toBe(false)
    expect(isOnTheWay(frame(5), plane('axial', 5))).toBe(false)
  })

  it('ends where the hand jumps to another place', () => {
    expect(isOnTheWay(frame(5), frame(300))).toBe(false)
  })
})
