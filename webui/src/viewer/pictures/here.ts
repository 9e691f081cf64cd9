/**
 * Pictures of stored values, made in the page as the server makes them (`appliance/domain/grayscale.py`): values to
 * modality values, through the window, turned over where low values are white, to 256 greys.
 *
 * A table holds the grey of every value that 16 bits can have, so that a pixel costs one look. Grey is calculated with
 * the precision of the server's, and half a grey is rounded to the even one: both give the same picture, bit for bit.
 */

import { functionFor } from '../window'
import type { View, WindowSetting } from '../view'
import type { PictureRequest } from './address'
import { bitmapOf, opaqueGrey } from './bitmap'
import type { Picture, ProvenFrame } from './load'
import type { StoredFrame } from './stored-values'

const PLACES = 0x10000
const LARGEST_PIXELS = 2048 * 2048

/** The final picture of `view`; null where something else than a window lies between its values and their picture. */
export function drawHere({ frame }: ProvenFrame, { window, invert }: View, request: PictureRequest): Picture | null {
  if (!window || functionFor(window) === 'sigmoid' || !canDraw(frame)) return null
  const { rows, columns } = frame
  const bitmap = bitmapOf(pixelsOf(frame, greyTable(frame, window, invert)), rows, columns)
  return (
    bitmap && { request, bitmap, sizeBytes: rows * columns * 4, bodyBytes: 0, isFromLine: false, serverMs: 0, completeness: 1, reduced: null, window }
  )
}

/** Very large frames are asked of the server in the part and size that is seen. */
const canDraw = ({ isPlain, samples, rescale, values, rows, columns }: StoredFrame): boolean =>
  isPlain && samples === 1 && values.BYTES_PER_ELEMENT <= 2 && rescale !== null && rows * columns <= LARGEST_PIXELS

/** The grey of each stored value, at its place modulo 2^16. */
export function greyTable(frame: StoredFrame, window: WindowSetting, invert: boolean): Uint8Array {
  const { slope, intercept } = frame.rescale ?? { slope: 1, intercept: 0 }
  const isInverted = frame.isInverted !== invert
  const isSigned = frame.type.startsWith('int')
  const table = new Uint8Array(PLACES)
  for (let place = 0; place < PLACES; place += 1) {
    const stored = isSigned && place >= PLACES / 2 ? place - PLACES : place
    const part = windowed(stored * slope + intercept, window)
    table[place] = halfToEven(Math.fround((isInverted ? Math.fround(1 - part) : part) * 255))
  }
  // Padding is black, also where low values are white (PS3.3 C.7.5.1.1.2).
  const [first, last] = frame.padding ?? [0, -1]
  for (let stored = first; stored <= last; stored += 1) table[stored & (PLACES - 1)] = 0
  return table
}

/** 0 to 1 (PS3.3 C.11.2.1.2.1, C.11.2.1.3.2). */
function windowed(value: number, window: WindowSetting): number {
  const isExact = functionFor(window) === 'linear-exact'
  const center = isExact ? window.center : window.center - 0.5
  const width = isExact ? window.width : window.width - 1
  if (width === 0) return value > center ? 1 : 0
  return Math.fround(Math.max(0, Math.min(1, (value - center) / width + 0.5)))
}

function halfToEven(value: number): number {
  const below = Math.floor(value)
  const rest = value - below
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below
}

function pixelsOf({ values }: StoredFrame, table: Uint8Array): Uint32Array<ArrayBuffer> {
  const pixels = new Uint32Array(values.length)
  for (let at = 0; at < values.length; at += 1) pixels[at] = opaqueGrey(table[values[at]! & (PLACES - 1)]!)
  return pixels
}
