/** The value under the pointer: which pixel it is, how the server is asked, and how the answer is written. */

import type { SliceEntry } from '../api'
import { writtenNumber } from '../shared/amounts'
import { viewingTexts } from '../shared/texts'
import type { Point } from './geometry/framing'
import { pixelAspect, type Subject } from './view'

/** As `GET …/value` answers. */
export interface PixelAnswer {
  /** One sample, or red, green and blue. */
  stored: number[]
  /** null of colours and of padding. */
  value: number | null
  unit: string
  is_padding: boolean
}

/** Counted from 0. */
export interface Pixel {
  row: number
  column: number
}

/** null beside the picture. */
export function pixelAt({ x, y }: Point, slice: SliceEntry): Pixel | null {
  const column = Math.floor(x)
  const row = Math.floor(y / pixelAspect(slice))
  return column >= 0 && row >= 0 && column < slice.columns && row < slice.rows ? { row, column } : null
}

export const valuePath = ({ studyUid, series }: Subject, { instance_uid, frame }: SliceEntry, { row, column }: Pixel): string =>
  `/api/studies/${studyUid}/series/${series.series_uid}/instances/${instance_uid}/frames/${frame}/value?row=${row}&column=${column}`

/** "40 HU", "1.25 g/ml", "RGB 12, 30, 200", "no value". */
export function writtenValue({ stored, value, unit, is_padding }: PixelAnswer): string {
  if (is_padding) return viewingTexts.padding
  if (value === null) return `${viewingTexts.probedColour} ${stored.join(', ')}`
  return `${writtenNumber(value, Number.isInteger(value) ? 0 : 3)}${unit ? ` ${unit}` : ''}`
}
