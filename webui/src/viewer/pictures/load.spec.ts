import { expect, it, vi } from 'vitest'
import { cameOverLine, completenessIn, reducedIn, windowIn } from './load'

it('takes a picture that does not say for a whole one', () => {
  expect(completenessIn(new Headers())).toBe(1)
  expect(completenessIn(new Headers({ 'Volume-Complete': '0.42' }))).toBe(0.42)
  expect(completenessIn(new Headers({ 'Volume-Complete': '0' }))).toBe(0)
})

it('reads how coarse the volume is, if it is', () => {
  expect(reducedIn(new Headers({ 'Volume-Reduced': '1,2,2' }))).toEqual([1, 2, 2])
  expect(reducedIn(new Headers({ 'Volume-Reduced': '1,1,1' }))).toBeNull()
  expect(reducedIn(new Headers())).toBeNull()
})

it('reads the window that the server found', () => {
  expect(windowIn(new Headers({ 'Rendered-Window': '-600,1500,sigmoid' }))).toEqual({ center: -600, width: 1500, function: 'sigmoid' })
  expect(windowIn(new Headers())).toBeNull()
})

it.each([
  ['over the line', true, [{ responseStart: 5, transferSize: 900 }]],
  ['from the cache', false, [{ responseStart: 5, transferSize: 0 }]],
  ['from the cache at last', false, [{ responseStart: 5, transferSize: 900 }, { responseStart: 9, transferSize: 0 }]],
  ['from where the browser does not tell', true, [{ responseStart: 0, transferSize: 0 }]],
  ['so long ago that the browser has forgotten it', true, []],
])('knows an answer that came %s', (_, isFromLine, entries) => {
  vi.spyOn(performance, 'getEntriesByName').mockReturnValueOnce(entries as unknown as PerformanceEntryList)

  expect(cameOverLine('https://box.example/rendered')).toBe(isFromLine)
})
