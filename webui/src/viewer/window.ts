/** Windows: what a drag makes of one, and what a picture through one tells about another. */

import type { WindowSetting } from './view'

export type { WindowSetting } from './view'

/** A drag over so many pixels doubles the width. */
const PIXELS_FOR_ONE_WIDTH = 320
/** PS3.3 C.11.2.1.2.1: a linear window is at least 1 wide; windows over fractions (SUV, parameter maps) are narrower. */
const SMALLEST_SHARE = 1e-3

/** After a drag by (dx, dy) CSS pixels: to the right wider, down a higher centre and so a darker picture. */
export function draggedWindow(start: WindowSetting, dx: number, dy: number): WindowSetting {
  const unit = start.width / PIXELS_FOR_ONE_WIDTH
  const step = stepFor(start.width)
  const width = Math.max(start.width * SMALLEST_SHARE, start.width + dx * unit, step)
  return { center: rounded(start.center + dy * unit, step), width: Math.max(step, rounded(width, step)) }
}

/** Whole values for windows of integers; thousandths of the width below. */
const stepFor = (width: number): number => (width >= 20 ? 1 : 10 ** Math.floor(Math.log10(width) - 2))

const rounded = (value: number, step: number): number => Number((Math.round(value / step) * step).toPrecision(12))

/** How many decimals show the steps of a window so wide. */
export const decimalsFor = (width: number): number => (width >= 20 ? 0 : Math.max(0, -Math.floor(Math.log10(width) - 2)))

export const isSameWindow = (a: WindowSetting | null, b: WindowSetting | null): boolean =>
  a?.center === b?.center && a?.width === b?.width

export interface Look {
  window: WindowSetting
  invert: boolean
}

/**
 * For each grey (0 to 255) of a picture with one look, the grey it would have with another.
 *
 * True between the ends; what was black or white already stays at the end it has been cut to, so a picture made with it is a
 * preview and has to say so. A linear window is y = ((x - (c - 0.5)) / (w - 1) + 0.5) (PS3.3 C.11.2.1.2.1).
 */
export function greyAfter(from: Look, to: Look): Uint8ClampedArray {
  const table = new Uint8ClampedArray(256)
  for (let grey = 0; grey < 256; grey += 1) {
    const share = (from.invert ? 255 - grey : grey) / 255
    const value = (share - 0.5) * span(from.window) + from.window.center - 0.5
    const after = (value - (to.window.center - 0.5)) / span(to.window) + 0.5
    table[grey] = 255 * (to.invert ? 1 - clamped(after) : clamped(after))
  }
  return table
}

const span = ({ width }: WindowSetting): number => (width > 1 ? width - 1 : width)

const clamped = (share: number): number => Math.max(0, Math.min(1, share))
