/**
 * A frame's stored values, all bits of them, as docs/api.md says: for windowing here, and for proving that nothing was lost.
 *
 * This file is fetched when the first of them comes; the way to the first picture does not pay for it.
 */

import { decodedJpegLs, type Plane } from './jpegls'

export { greyBitmap, greysOf } from './grey'
export { StreamBroken } from './jpegls'

const ARRAYS = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
} as const

export type ValueType = keyof typeof ARRAYS
export type Values = InstanceType<(typeof ARRAYS)[ValueType]>

/** What the header `Stored-Values` says. */
export interface StoredAbout {
  readonly rows: number
  readonly columns: number
  /** 3 are red, green and blue. */
  readonly samples: 1 | 3
  readonly type: ValueType
  readonly bits: number
  readonly photometric: string
  /** Low values are shown white. */
  readonly isInverted: boolean
  /** From stored values to those that a window is over; null of colours, and where it is a table. */
  readonly rescale: { readonly slope: number; readonly intercept: number } | null
  /** The first and the last stored value that are no image. */
  readonly padding: readonly [number, number] | null
  /** Whether a window and `isInverted` are all that lies between rescaled values and their picture. */
  readonly isPlain: boolean
  /** What came is only what the lossless picture does not tell. */
  readonly isWithoutPicture: boolean
  /** Of the values, little endian, in hexadecimal. */
  readonly sha256: string
}

export interface StoredFrame extends StoredAbout {
  /** (row, column, sample). */
  readonly values: Values
}

export interface Arrived {
  readonly about: StoredAbout
  readonly body: Uint8Array<ArrayBuffer>
}

/** An answer that has come whole. Throws RangeError for a header that does not fit. */
export async function arrivedValues(response: Response): Promise<Arrived> {
  const about = aboutOf(response.headers.get('Stored-Values') ?? '')
  return { about, body: new Uint8Array(await response.arrayBuffer()) }
}

/** `greys` are those of the picture that is meant, row by row. Throws StreamBroken, and RangeError for what does not fit. */
export function storedFrame({ about, body }: Arrived, greys: Uint8Array | null = null): StoredFrame {
  return { ...about, values: valuesOf(about.isWithoutPicture ? planeBeside(body, greys, about) : decodedJpegLs(body), about) }
}

const GREYS = 256

/** The picture's greys and what it did not tell, put together. */
function planeBeside(body: Uint8Array<ArrayBuffer>, greys: Uint8Array | null, { type }: StoredAbout): Plane {
  const plane = decodedJpegLs(body.subarray(2 * GREYS))
  if (greys?.length !== plane.samples.length) throw new RangeError('the picture of these values is not here')
  const range = type.endsWith('8') ? 0x100 : 0x10000
  const numbers = new DataView(body.buffer, body.byteOffset, 2 * GREYS)
  // Half the range is added and taken away again: to add it twice is to add the range.
  const starts = Array.from({ length: GREYS }, (_, grey) => numbers.getUint16(2 * grey, true) + range / 2)
  for (let at = 0; at < greys.length; at++) plane.samples[at] = (starts[greys[at]!]! + plane.samples[at]!) & (range - 1)
  return plane
}

/** Whether the values are those that the server read, by their SHA-256. */
export async function isProven({ values, sha256 }: StoredFrame): Promise<boolean> {
  // The digest is of little-endian values, which is the order of every machine that browsers run on.
  const digest = await crypto.subtle.digest('SHA-256', values as BufferSource)
  return sha256 === Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Throws RangeError. */
export function aboutOf(header: string): StoredAbout {
  const told = new Map(header.split(', ').map((item) => item.split('=', 2) as [string, string]))
  const number = (name: string): number => {
    const value = Number(told.get(name) ?? NaN)
    if (!Number.isFinite(value)) throw new RangeError(`Stored-Values does not say ${name}`)
    return value
  }
  const [samples, type] = [number('samples'), told.get('type') ?? '']
  if ((samples !== 1 && samples !== 3) || !(type in ARRAYS)) throw new RangeError('stored values of a kind that is not known here')
  return {
    rows: number('rows'),
    columns: number('columns'),
    samples,
    type: type as ValueType,
    bits: number('bits'),
    photometric: told.get('photometric') ?? '',
    isInverted: told.get('inverted') === '1',
    rescale: told.has('slope') ? { slope: number('slope'), intercept: number('intercept') } : null,
    padding: told.has('padding-first') ? [number('padding-first'), number('padding-last')] : null,
    isPlain: told.get('plain') === '1',
    isWithoutPicture: told.get('without') === 'picture',
    sha256: told.get('sha-256') ?? '',
  }
}

/** Signed values were raised by half their range; colours are planes of differences, one below the other. */
export function valuesOf(plane: Plane, about: StoredAbout): Values {
  const { rows, columns, samples, type } = about
  if (ARRAYS[type].BYTES_PER_ELEMENT > 2) return wideValuesOf(plane, about)
  if (plane.rows !== rows * samples || plane.columns !== columns) throw new RangeError('Stored-Values does not fit what came')
  const values = new ARRAYS[type](rows * columns * samples)
  // What is stored is taken modulo the range of the array, which is what raising and differences were made with.
  const raised = type === 'int8' ? 0x80 : type === 'int16' ? 0x8000 : 0
  if (samples === 1) {
    for (let at = 0; at < values.length; at++) values[at] = plane.samples[at]! - raised
    return values
  }
  const length = rows * columns
  for (let at = 0; at < length; at++) {
    const green = plane.samples[at]!
    values[3 * at] = green + plane.samples[length + at]! - raised
    values[3 * at + 1] = green - raised
    values[3 * at + 2] = green + plane.samples[2 * length + at]! - raised
  }
  return values
}

/** Values of 32 and 64 bits are planes of 16 of them, the highest first, one below the other. */
function wideValuesOf(plane: Plane, { rows, columns, samples, type }: StoredAbout): Values {
  const length = rows * columns
  const values = new ARRAYS[type](length)
  const count = values.BYTES_PER_ELEMENT / 2
  if (samples !== 1 || plane.rows !== rows * count || plane.columns !== columns) throw new RangeError('Stored-Values does not fit what came')
  // The lowest bits come first in memory on every machine that browsers run on.
  const halves = new Uint16Array(values.buffer)
  const raised = type === 'int32' ? 0x8000 : 0
  for (let part = 0; part < count; part++) {
    const turned = part === 0 ? raised : 0
    for (let at = 0; at < length; at++) halves[count * at + count - 1 - part] = plane.samples[part * length + at]! ^ turned
  }
  return values
}
