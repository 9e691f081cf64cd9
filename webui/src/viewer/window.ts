/** Windows: what a drag makes of one, and what a picture through one tells about another. */

import type { WindowFunction } from '../api'
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
  return { ...start, center: rounded(start.center + dy * unit, step), width: Math.max(step, rounded(width, step)) }
}

/** Whole values for windows of integers; thousandths of the width below. */
const stepFor = (width: number): number => (width >= 20 ? 1 : 10 ** Math.floor(Math.log10(width) - 2))

const rounded = (value: number, step: number): number => Number((Math.round(value / step) * step).toPrecision(12))

/** How many decimals show the steps of a window so wide. */
export const decimalsFor = (width: number): number => (width >= 20 ? 0 : Math.max(0, -Math.floor(Math.log10(width) - 2)))

export const isSameWindow = (a: WindowSetting | null, b: WindowSetting | null): boolean =>
  a?.center === b?.center && a?.width === b?.width && (!a || !b || functionFor(a) === functionFor(b))

export interface Look {
  window: WindowSetting
  invert: boolean
}

/** How a window is asked for: below a width of 1 LINEAR has no meaning (PS3.3 C.11.2.1.2.1, C.11.2.1.3.2). */
export const functionFor = ({ width, function: by = 'linear' }: WindowSetting): WindowFunction =>
  by === 'linear' && width < 1 ? 'linear-exact' : by

/** The values that become black and white (PS3.3 C.11.2.1.2.1, C.11.2.1.3.2). */
function ends(window: WindowSetting): { black: number; span: number } {
  const { center, width } = window
  if (functionFor(window) === 'linear-exact') return { black: center - width / 2, span: width }
  // A window of width 1 is a threshold; a tiny span stands for none.
  return { black: center - 0.5 - (width - 1) / 2, span: Math.max(width - 1, Number.EPSILON) }
}

/** 0 to 1 (PS3.3 C.11.2.1.3.1 for SIGMOID). */
function shareOf(value: number, window: WindowSetting): number {
  if (functionFor(window) === 'sigmoid') return 1 / (1 + Math.exp((-4 * (value - window.center)) / window.width))
  const { black, span } = ends(window)
  return Math.max(0, Math.min(1, (value - black) / span))
}

/** The value whose share it is. */
function valueOf(share: number, window: WindowSetting): number {
  if (functionFor(window) === 'sigmoid') {
    const within = Math.max(HALF_A_GREY, Math.min(1 - HALF_A_GREY, share))
    return window.center - (window.width / 4) * Math.log(1 / within - 1)
  }
  const { black, span } = ends(window)
  return black + share * span
}

/** A sigmoid reaches black and white nowhere: what is drawn so is at most this far from them. */
const HALF_A_GREY = 0.5 / 255

/**
 * For each grey (0 to 255) of a picture with one look, the grey it would have with another.
 *
 * True between the ends; what was black or white already has lost its value and is taken for the end it was cut to. So a
 * picture made with it is a preview and has to say so.
 */
export function greyAfter(from: Look, to: Look): Uint8ClampedArray {
  const table = new Uint8ClampedArray(256)
  for (let grey = 0; grey < 256; grey += 1) {
    const share = shareOf(valueOf((from.invert ? 255 - grey : grey) / 255, from.window), to.window)
    table[grey] = 255 * (to.invert ? 1 - share : share)
  }
  return table
}
