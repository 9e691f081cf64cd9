import { beforeEach, describe, expect, it } from 'vitest'
import { Cine, type Clock } from './cine.svelte'
import type { Stage } from './stage.svelte'

/** A stage of four pictures whose screen shows what it is told to. */
class Scenery implements Clock {
  readonly stage = { mode: 'stack', index: 0, count: 4, shownIndex: 0, scrollTo: (index: number) => void (this.stage.index = index) }
  ms = 0
  #next: (() => void) | null = null

  now = () => this.ms

  soon(happen: () => void): () => void {
    this.#next = happen
    return () => (this.#next = null)
  }

  /** Frames of the screen; the picture that is wanted is on it at once. */
  pass(ms: number, { isLineSlow = false } = {}): void {
    for (const end = this.ms + ms; this.ms < end; ) {
      this.ms += 10
      if (!isLineSlow) this.stage.shownIndex = this.stage.index
      const happen = this.#next
      this.#next = null
      happen?.()
    }
  }
}

let scenery: Scenery
let cine: Cine
beforeEach(() => {
  scenery = new Scenery()
  cine = new Cine(scenery.stage as unknown as Stage, () => Promise.resolve([50, 50, 200, 50]), scenery)
})

describe('a film of a series', () => {
  it('shows each picture for its time, and begins again', async () => {
    cine.toggle()
    await Promise.resolve()
    scenery.pass(100)
    expect(scenery.stage.index).toBe(2)
    scenery.pass(150)
    expect(scenery.stage.index).toBe(2)
    scenery.pass(110)
    expect(scenery.stage.index).toBe(0)
  })

  it('leaves out nothing where the line is slow, and says the rate that was seen', async () => {
    cine.toggle()
    await Promise.resolve()
    scenery.pass(50)
    scenery.pass(1000, { isLineSlow: true })
    expect(scenery.stage.index).toBe(1)
    scenery.pass(20)
    expect(scenery.stage.index).toBe(2)
    expect(Number.parseFloat(cine.rate)).toBeLessThan(2.5)
  })

  it('stands still when it is stopped', async () => {
    cine.toggle()
    await Promise.resolve()
    scenery.pass(60)
    cine.toggle()
    scenery.pass(500)

    expect([cine.isPlaying, scenery.stage.index]).toEqual([false, 1])
  })
})
