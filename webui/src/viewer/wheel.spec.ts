import { expect, it } from 'vitest'
import { SliceWheel, zoomFactor } from './wheel'

const pixels = (deltaY: number) => ({ deltaY, deltaMode: 0 })

it('goes one slice a notch, whatever a system calls a notch', () => {
  const wheel = new SliceWheel()
  expect([pixels(100), pixels(-120), { deltaY: 3, deltaMode: 1 }].map((turn) => wheel.slicesFor(turn))).toEqual([1, -1, 1])
})
it('gathers the small steps of a touchpad', () => {
  const wheel = new SliceWheel()
  expect([20, 20, 20, 20].map((step) => wheel.slicesFor(pixels(step)))).toEqual([0, 0, 1, 0])
})
it('begins anew when the finger turns back', () => {
  const wheel = new SliceWheel()
  wheel.slicesFor(pixels(40))
  expect([-40, -20].map((step) => wheel.slicesFor(pixels(step)))).toEqual([-0, -1])
})
it('zooms back to where it was', () => expect(zoomFactor(pixels(100)) * zoomFactor(pixels(-100))).toBeCloseTo(1))
