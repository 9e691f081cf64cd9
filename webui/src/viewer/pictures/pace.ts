/**
 * How fine a draft may be, so that the line keeps up with the hand: it keeps up by quality, never by leaving slices out.
 *
 * What the line carries is measured from the answers themselves, as congestion control does it: all that was delivered
 * between a request and its answer, over that time. The better ones of the last while count, since an answer that had the
 * line for itself and was small says little; not the best, since some come from the browser's own cache.
 */

/** Of a draft. */
export interface Fineness {
  /** Longer side, pixels. */
  readonly side: number
  /** Of WebP, 1 to 99. */
  readonly quality: number
}

/** From the coarsest to the finest. */
export const FINENESSES: readonly Fineness[] = [
  { side: 128, quality: 25 },
  { side: 160, quality: 30 },
  { side: 192, quality: 35 },
  { side: 256, quality: 45 },
  { side: 384, quality: 55 },
  { side: 768, quality: 60 },
]

/** Bytes of a CT of 512 x 512 at each fineness, until pictures of this series have told. */
const GUESSED_BYTES = [1_200, 1_800, 2_300, 3_600, 6_800, 12_500]
/** Header fields, frames and packets of an answer, besides its body. */
const HEAD_BYTES = 350
/** Until something was measured: half of a 2G line. */
const FIRST_BYTES_PER_S = 45_000
const FIRST_LATENCY_MS = 100
/** Of the measured rates, so many are below the one that counts. */
const BETTER = 0.8
const REMEMBERED_MS = 15_000
/** A single draft is worth waiting for so long. */
const PATIENCE_S = 0.2
/** Of what the line carries; the rest is for what goes wrong. */
const SHARE = 0.8
/** The hand's speed is taken over so long. */
const HAND_MS = 600
/** Slices that may wait besides those that the line's latency explains, before quality gives way. */
const PATIENT_SLICES = 4
/** The fewest keep a near line busy while the page decodes and draws what has come: that takes longer than a near line's way. */
const LIMITS = { fewest: 8, most: 12 } as const

/** What the answers of the last while say of the line. */
export interface Measured {
  readonly bytesPerS: number
  readonly latencyMs: number
}

interface Mark {
  readonly atMs: number
  readonly deliveredBytes: number
}

interface Sample {
  readonly atMs: number
  readonly bytesPerS: number
  readonly tookMs: number
}

export class Pace {
  readonly #now: () => number
  readonly #learned = [...GUESSED_BYTES]
  #deliveredBytes = 0
  #samples: Sample[] = []
  #steps: number[] = []
  /** Of the hand when it last went on, slices a second. */
  #lastSpeed = 0

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** A request goes out; what is given back is for `delivered`. */
  sent(): Mark {
    return { atMs: this.#now(), deliveredBytes: this.#deliveredBytes }
  }

  /** Its answer has come whole; `bytes` of body, `serverMs` of its time were the server's, who worked or waited. */
  delivered(mark: Mark, bytes: number, fineness: Fineness | null = null, serverMs = 0): void {
    const atMs = this.#now()
    this.#deliveredBytes += bytes + HEAD_BYTES
    const allMs = Math.max(1, atMs - mark.atMs)
    const tookMs = Math.max(1, allMs - serverMs)
    // Others came while the server worked on this one; where none did, the line was at leave for so long. It carries more than either.
    const bytesPerMs = Math.max((this.#deliveredBytes - mark.deliveredBytes) / allMs, (bytes + HEAD_BYTES) / tookMs)
    const sample = { atMs, tookMs, bytesPerS: bytesPerMs * 1000 }
    this.#samples = [...this.#samples.filter((one) => atMs - one.atMs < REMEMBERED_MS), sample]
    const level = fineness ? FINENESSES.indexOf(fineness) : -1
    if (level >= 0) this.#learned[level] = 0.7 * this.#learned[level]! + 0.3 * bytes
  }

  /** The hand went on by a slice. */
  stepped(): void {
    const now = this.#now()
    this.#steps = [...this.#steps.filter((at) => now - at < HAND_MS), now]
    this.#lastSpeed = this.slicesPerS
  }

  /** null while nothing has come. */
  get measured(): Measured | null {
    return this.#samples.length ? { bytesPerS: this.bytesPerS, latencyMs: this.latencyMs } : null
  }

  get bytesPerS(): number {
    const rates = this.#samples.map(({ bytesPerS }) => bytesPerS).sort((a, b) => a - b)
    return rates[Math.floor(rates.length * BETTER)] ?? FIRST_BYTES_PER_S
  }

  get latencyMs(): number {
    return this.#samples.length ? Math.min(...this.#samples.map(({ tookMs }) => tookMs)) : FIRST_LATENCY_MS
  }

  /** Slices a second that the hand goes through now. */
  get slicesPerS(): number {
    const now = this.#now()
    return this.#steps.filter((at) => now - at < HAND_MS).length / (HAND_MS / 1000)
  }

  /** For the next draft, while `waiting` slices that the hand passed are not on the screen yet. */
  fineness(waiting: number): Fineness {
    const budget = this.#budgetBytes(waiting)
    const level = this.#learned.findLastIndex((bytes) => bytes + HEAD_BYTES <= budget)
    return FINENESSES[Math.max(0, level)]!
  }

  /** So many drafts under way fill the line, its way back and the page; more would only wait. */
  get limit(): number {
    const bytes = this.#learned[FINENESSES.indexOf(this.fineness(0))]! + HEAD_BYTES
    const inFlight = Math.ceil((this.bytesPerS * this.latencyMs) / 1000 / bytes) + 2
    return Math.max(LIMITS.fewest, Math.min(LIMITS.most, inFlight))
  }

  #budgetBytes(waiting: number): number {
    // A hand that has stopped waits for what it passed: finer drafts of that would hold up the picture where it stopped.
    const speed = waiting > 0 ? Math.max(this.slicesPerS, this.#lastSpeed) : this.slicesPerS
    const explained = (speed * this.latencyMs) / 1000 + PATIENT_SLICES
    const late = waiting > 2 * explained ? 0.4 : waiting > explained ? 0.7 : 1
    const alone = this.bytesPerS * PATIENCE_S
    return late * (speed > 0 ? Math.min(alone, (SHARE * this.bytesPerS) / speed) : alone)
  }
}
