/**
 * JPEG-LS without loss (ISO/IEC 14495-1, LOCO-I), one component: what the server sends stored values in.
 *
 * About this technique: each sample is predicted from its neighbours a (left), b (above), c (above left) and d (above
 * right). The gradients between them choose one of 365 contexts, which has learned how far off predictions of its kind
 * are; the rest is a Golomb code whose parameter the context gives. Where all four are equal, runs of the same value are
 * counted instead. Names are those of the standard.
 */

export interface Plane {
  readonly rows: number
  readonly columns: number
  readonly bits: number
  /** (rows, columns), row by row. */
  readonly samples: Uint16Array
}

/** A stream that is none, or of a kind that the server does not send. */
export class StreamBroken extends Error {
  override readonly name = 'StreamBroken'
}

const RESET = 64
const MIN_C = -128
const MAX_C = 127
const CONTEXTS = 365
/** Table A.1 of the standard: the order of the code of run lengths. */
const J = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15] as const

const SOI = 0xd8
const SOF_55 = 0xf7
const LSE = 0xf8
const SOS = 0xda
/** APP0 to APP15 and COM say nothing of the samples. */
const isPassedOver = (marker: number): boolean => (marker >= 0xe0 && marker <= 0xef) || marker === 0xfe

/** The samples of a JPEG-LS stream. Throws StreamBroken. */
export function decodedJpegLs(bytes: Uint8Array): Plane {
  const frame = headersOf(bytes)
  const samples = new Uint16Array(frame.rows * frame.columns)
  new Scan(frame, new Bits(bytes, frame.start)).decodeInto(samples)
  return { rows: frame.rows, columns: frame.columns, bits: frame.bits, samples }
}

interface Frame {
  rows: number
  columns: number
  bits: number
  /** T1, T2 and T3 of C.2.4.1.1: where the regions of a difference begin. */
  thresholds: Thresholds
  /** Where the coded samples begin. */
  start: number
}

type Thresholds = readonly [number, number, number]

function headersOf(bytes: Uint8Array): Frame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let frame: Frame | null = null
  if (bytes.length < 4 || view.getUint16(0) !== (0xff00 | SOI)) throw new StreamBroken('this is no JPEG-LS')
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1]!
    const end = at + 2 + view.getUint16(at + 2)
    if (end > bytes.length) break
    if (marker === SOF_55) frame = frameAt(view, at + 4)
    else if (marker === LSE && frame) frame.thresholds = thresholdsAt(view, at + 4, frame.bits)
    else if (marker === SOS && frame) return { ...frame, start: checkedScan(view, at + 4, end) }
    else if (!isPassedOver(marker)) throw new StreamBroken(`marker ${marker.toString(16)} is not known here`)
    at = end
  }
  throw new StreamBroken('the stream ends before its samples')
}

function frameAt(view: DataView, at: number): Frame {
  const bits = view.getUint8(at)
  const rows = view.getUint16(at + 1)
  const columns = view.getUint16(at + 3)
  if (bits < 8 || bits > 16 || !rows || !columns || view.getUint8(at + 5) !== 1) throw new StreamBroken('samples of a kind that is not known here')
  const factor = (Math.min(2 ** bits - 1, 4095) + 128) >> 8
  return { rows, columns, bits, thresholds: [factor + 2, 4 * factor + 3, 17 * factor + 4], start: 0 }
}

/** Preset coding parameters (C.2.4.1.1): other thresholds are taken, the rest must be what is usual. */
function thresholdsAt(view: DataView, at: number, bits: number): Thresholds {
  if (view.getUint8(at) !== 1 || view.getUint16(at + 1) !== 2 ** bits - 1 || view.getUint16(at + 9) !== RESET) {
    throw new StreamBroken('coding parameters of a kind that is not known here')
  }
  return [view.getUint16(at + 3), view.getUint16(at + 5), view.getUint16(at + 7)]
}

function checkedScan(view: DataView, at: number, end: number): number {
  // One component; NEAR, the interleave mode and the point transform are 0.
  if (view.getUint8(at) !== 1 || view.getUint8(at + 3) || view.getUint16(at + 4)) throw new StreamBroken('a scan of a kind that is not known here')
  return end
}

/** Bits from the most significant on; after a byte FF comes a stuffed 0 (14495-1 A.1). */
class Bits {
  private cache = 0
  private count = 0
  private wasFF = false

  constructor(
    private readonly bytes: Uint8Array,
    private at: number,
  ) {}

  /** At least 25 bits are at hand, zeroes after the end. */
  private fill(): void {
    while (this.count <= 24) {
      const byte = this.at < this.bytes.length ? this.bytes[this.at]! : 0
      if (this.wasFF && byte > 0x7f) {
        // A marker: the samples have ended. Zeroes follow, which no valid stream asks for.
        this.count += 8
        this.overrun += 8
        continue
      }
      const width = this.wasFF ? 7 : 8
      this.cache |= byte << (32 - width - this.count)
      this.count += width
      if (this.at >= this.bytes.length) this.overrun += 8
      this.wasFF = byte === 0xff
      this.at++
    }
  }

  /** Bits that were made up. */
  private overrun = 0

  get isExhausted(): boolean {
    return this.overrun > this.count
  }

  read(length: number): number {
    if (length === 0) return 0
    if (this.count < length) this.fill()
    const value = this.cache >>> (32 - length)
    this.cache <<= length
    this.count -= length
    return value
  }

  /** How many zeroes there are before the next one, which is read too; at most ``limit``. */
  zeroes(limit: number): number {
    let zeroes = 0
    for (;;) {
      if (this.count < 25) this.fill()
      const leading = Math.min(Math.clz32(this.cache), this.count)
      if (leading < this.count) {
        this.cache = (this.cache << leading) << 1
        this.count -= leading + 1
        return zeroes + leading
      }
      zeroes += leading
      this.cache = 0
      this.count = 0
      if (zeroes > limit) throw new StreamBroken('the stream ends within its samples')
    }
  }

  /** A number in the limited Golomb code of order ``k`` (A.5.3). */
  golomb(k: number, limit: number, bits: number): number {
    const longest = limit - bits - 1
    const zeroes = this.zeroes(longest)
    const number = zeroes < longest ? (zeroes << k) + this.read(k) : this.read(bits) + 1
    // No error is so large. Taken as one it would spoil its context, whose code would have no order any more.
    if (number > 2 ** bits) throw new StreamBroken('a difference is larger than any sample')
    return number
  }
}

/** The contexts, and lines of samples as they are decoded. */
class Scan {
  private readonly largest: number
  private readonly limit: number
  /** -4 to 4 of a difference, at the difference plus ``largest`` (A.3.3). */
  private readonly quantized: Int8Array
  // The last two contexts are of runs that are interrupted.
  private readonly A: Int32Array
  private readonly B = new Int32Array(CONTEXTS + 2)
  private readonly C = new Int32Array(CONTEXTS)
  private readonly N = new Int32Array(CONTEXTS + 2).fill(1)
  private runIndex = 0

  constructor(
    private readonly frame: Frame,
    private readonly bits: Bits,
  ) {
    this.largest = 2 ** frame.bits - 1
    this.limit = 2 * (frame.bits + Math.max(8, frame.bits))
    this.quantized = quantizer(this.largest, frame.thresholds)
    this.A = new Int32Array(CONTEXTS + 2).fill(Math.max(2, (this.largest + 1 + 32) >> 6))
  }

  decodeInto(samples: Uint16Array): void {
    const { rows, columns } = this.frame
    // A sample beside each end: the neighbours of the first and of the last.
    let above = new Int32Array(columns + 2)
    let line = new Int32Array(columns + 2)
    for (let row = 0; row < rows; row++) {
      above[columns + 1] = above[columns]!
      line[0] = above[1]!
      this.decodeLine(line, above, columns)
      for (let column = 0; column < columns; column++) samples[row * columns + column] = line[column + 1]!
      ;[above, line] = [line, above]
      if (this.bits.isExhausted) throw new StreamBroken('the stream ends within its samples')
    }
  }

  private decodeLine(line: Int32Array, above: Int32Array, columns: number): void {
    const { quantized, largest } = this
    let a = line[0]!
    let b = above[0]!
    let d = above[1]!
    for (let x = 1; x <= columns; x++) {
      const c = b
      b = d
      d = above[x + 1]!
      const context = 81 * quantized[d - b + largest]! + 9 * quantized[b - c + largest]! + quantized[c - a + largest]!
      if (context !== 0) {
        a = line[x] = this.regular(context, a, b, c)
      } else {
        x = this.run(line, above, x, columns, a)
        a = line[x]!
        b = above[x]!
        d = above[x + 1]!
      }
    }
  }

  /** A sample by its prediction and its context (A.4, A.5, A.6). */
  private regular(signed: number, a: number, b: number, c: number): number {
    const { A, B, C, N } = this
    const sign = signed < 0 ? -1 : 1
    const q = sign * signed
    let prediction = c >= Math.max(a, b) ? Math.min(a, b) : c <= Math.min(a, b) ? Math.max(a, b) : a + b - c
    prediction += sign * C[q]!
    if (prediction < 0) prediction = 0
    else if (prediction > this.largest) prediction = this.largest
    let n = N[q]!
    let k = 0
    while (n << k < A[q]!) k++
    const code = this.bits.golomb(k, this.limit, this.frame.bits)
    let error = code & 1 ? -((code + 1) >> 1) : code >> 1
    if (k === 0 && 2 * B[q]! <= -n) error = -error - 1
    let bias = B[q]! + error
    A[q] = A[q]! + Math.abs(error)
    if (n === RESET) {
      A[q] = A[q]! >> 1
      bias >>= 1
      n >>= 1
    }
    N[q] = ++n
    if (bias <= -n) {
      bias = Math.max(bias + n, 1 - n)
      if (C[q]! > MIN_C) C[q] = C[q]! - 1
    } else if (bias > 0) {
      bias = Math.min(bias - n, 0)
      if (C[q]! < MAX_C) C[q] = C[q]! + 1
    }
    B[q] = bias
    return (prediction + sign * error) & this.largest
  }

  /** Equal samples from ``start`` on, and the other one that ends them; where the last of them lies (A.7). */
  private run(line: Int32Array, above: Int32Array, start: number, columns: number, a: number): number {
    let x = start
    while (x <= columns && this.bits.read(1)) {
      const length = 1 << J[this.runIndex]!
      const end = Math.min(x + length, columns + 1)
      if (x + length <= columns + 1 && this.runIndex < 31) this.runIndex++
      line.fill(a, x, end)
      x = end
    }
    if (x > columns) return columns
    const end = x + this.bits.read(J[this.runIndex]!)
    if (end > columns) throw new StreamBroken('a run is longer than its line')
    line.fill(a, x, end)
    line[end] = this.interruption(a, above[end]!)
    if (this.runIndex > 0) this.runIndex--
    return end
  }

  private interruption(a: number, b: number): number {
    const { A, B, N } = this // B counts the negative errors here
    const type = a === b ? 1 : 0
    const q = CONTEXTS + type
    const n = N[q]!
    const sum = type ? A[q]! + (n >> 1) : A[q]!
    let k = 0
    while (n << k < sum) k++
    const code = this.bits.golomb(k, this.limit - J[this.runIndex]! - 1, this.frame.bits)
    const mapped = code + type
    const size = (mapped + 1) >> 1
    const isNegative = (k !== 0 || 2 * B[q]! >= n) === ((mapped & 1) === 1)
    const error = isNegative ? -size : size
    if (error < 0) B[q] = B[q]! + 1
    A[q] = A[q]! + ((code + 1 - type) >> 1)
    if (n === RESET) {
      A[q] = A[q]! >> 1
      B[q] = B[q]! >> 1
      N[q] = n >> 1
    }
    N[q] = N[q]! + 1
    return (b + (a > b ? -error : error)) & this.largest
  }
}

/** The nine regions of a difference (A.3.3). */
function quantizer(largest: number, [t1, t2, t3]: Thresholds): Int8Array {
  const table = new Int8Array(2 * largest + 1)
  for (let difference = 1; difference <= largest; difference++) {
    const region = difference < t1 ? 1 : difference < t2 ? 2 : difference < t3 ? 3 : 4
    table[largest + difference] = region
    table[largest - difference] = -region
  }
  return table
}
