import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Line } from './line.svelte'

const SAID_WITHIN_MS = 3_000

/** A line that can be cut: what is asked over it is answered at once, or never. */
let isCut = false
let isVisible = true
let asked = 0
let line: Line

beforeEach(() => {
  vi.useFakeTimers()
  ;[isCut, isVisible, asked] = [false, true, 0]
  line = new Line({
    ask: (signal) => {
      asked += 1
      if (!isCut) return Promise.resolve(true)
      return new Promise((resolve) => signal.addEventListener('abort', () => resolve(false)))
    },
    now: () => Date.now(),
    isVisible: () => isVisible,
  })
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    const controller = new AbortController()
    setTimeout(() => controller.abort(), ms)
    return controller.signal
  })
})
afterEach(() => {
  line.stop()
  vi.restoreAllMocks()
  vi.useRealTimers()
})

it('is said to be lost within three seconds, whenever it was cut', async () => {
  for (const afterMs of [0, 300, 699, 701, 1_500]) {
    isCut = false
    line.handMoved()
    await vi.advanceTimersByTimeAsync(5_000 + afterMs)
    expect(line.isThere).toBe(true)

    isCut = true
    await vi.advanceTimersByTimeAsync(SAID_WITHIN_MS)
    expect(line.isThere).toBe(false)
  }
})

it('is there again as soon as it answers, and who waits for that is told once', async () => {
  const told = vi.fn()
  line.onBack(told)
  isCut = true
  line.handMoved()
  await vi.advanceTimersByTimeAsync(10_000)

  isCut = false
  await vi.advanceTimersByTimeAsync(SAID_WITHIN_MS)

  expect([line.isThere, told.mock.calls.length]).toEqual([true, 1])
})

it('is there while anything comes, though it is too full for an answer in time', async () => {
  isCut = true
  line.handMoved()
  for (let turn = 0; turn < 20; turn += 1) {
    await vi.advanceTimersByTimeAsync(600)
    line.arrived()
  }

  expect([line.isThere, asked]).toEqual([true, 1])
})

it('is asked for nothing while nobody is there, or looks', async () => {
  await vi.advanceTimersByTimeAsync(60_000)
  expect(asked).toBe(0)

  line.handMoved()
  await vi.advanceTimersByTimeAsync(29_000)
  const before = asked
  expect(before).toBeGreaterThan(20)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(asked - before).toBeLessThan(3)

  isVisible = false
  line.handMoved()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(asked - before).toBeLessThan(4)
})

it('is lost at once where the browser says so', () => {
  line.networkChanged(false)

  expect(line.isThere).toBe(false)
})
