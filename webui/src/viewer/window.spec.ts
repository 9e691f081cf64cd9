import { describe, expect, it } from 'vitest'
import { decimalsFor, draggedWindow, greyAfter, type Look } from './window'

describe('a drag', () => {
  const start = { center: 40, width: 400 }

  it('to the right widens, down raises the centre', () => {
    expect(draggedWindow(start, 320, 0)).toEqual({ center: 40, width: 800 })
    expect(draggedWindow(start, 0, 32)).toEqual({ center: 80, width: 400 })
  })

  it('keeps the function of the window', () => {
    expect(draggedWindow({ ...start, function: 'sigmoid' }, 320, 0)).toEqual({ center: 40, width: 800, function: 'sigmoid' })
  })

  it('never ends in an empty window', () => expect(draggedWindow(start, -9999, 0).width).toBe(1))

  it('has fine steps over fractions', () => {
    const window = draggedWindow({ center: 2.5, width: 5 }, 10, 10)

    expect(window).toEqual({ center: 2.66, width: 5.16 })
    expect(decimalsFor(window.width)).toBe(2)
  })
})

describe('the grey after another window', () => {
  const look = (center: number, width: number, invert = false): Look => ({ window: { center, width }, invert })

  it('is the same for the same window', () => {
    expect([...greyAfter(look(40, 400), look(40, 400))]).toEqual(Array.from({ length: 256 }, (_, grey) => grey))
  })

  it('is steeper for a narrower one', () => {
    const table = greyAfter(look(40, 401), look(40, 201))

    expect([table[0], table[255]]).toEqual([0, 255])
    expect(Math.abs(table[140]! - table[120]! - 40)).toBeLessThanOrEqual(1)
  })

  it('is darker for a higher centre', () => expect(greyAfter(look(40, 401), look(140, 401))[128]).toBe(64))

  it('is a threshold through a window of width 1', () => {
    const table = greyAfter(look(50, 101), look(50, 1))

    expect([table[0], table[120], table[140], table[255]]).toEqual([0, 0, 255, 255])
  })

  it('is that of PS3.3 C.11.2.1.3.1 through a sigmoid window', () => {
    const exact: Look = { window: { center: 127.5, width: 255, function: 'linear-exact' }, invert: false }
    const sigmoid: Look = { window: { center: 127.5, width: 100, function: 'sigmoid' }, invert: false }
    const table = greyAfter(exact, sigmoid)

    expect([0, 100, 200].map((grey) => table[grey])).toEqual([2, 64, 242])
    expect([...greyAfter(sigmoid, sigmoid)].slice(5, 250)).toEqual(Array.from({ length: 245 }, (_, n) => n + 5))
  })

  it('is turned round exactly', () => {
    const table = greyAfter(look(40, 400), look(40, 400, true))

    expect([table[0], table[100], table[255]]).toEqual([255, 155, 0])
  })
})
