/**
 * Whether the line is there, so that a lost one is said within three seconds to whoever is at the page.
 *
 * While somebody's hand is at the page and nothing else has come lately, the page's own server is asked for a sign of life,
 * some 300 bytes a second. Any answer of any server counts as one. Nobody at the page, or a hidden page, asks nothing.
 */

export interface LineMeans {
  /** Whether the server answered in time. */
  readonly ask: (signal: AbortSignal) => Promise<boolean>
  readonly now: () => number
  readonly isVisible: () => boolean
}

const BEAT_MS = 700
const PATIENCE_MS = 1_400
/** So long after its last movement a hand counts as being there. */
const HAND_MS = 30_000

export class Line {
  isThere = $state(true)

  readonly #means: LineMeans
  readonly #whenBack = new Set<() => void>()
  #handAt = -Infinity
  #arrivedAt = -Infinity
  #isAsking = false
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(means: LineMeans) {
    this.#means = means
  }

  /** `happen` is called whenever the line is there again; what comes back ends that. */
  onBack(happen: () => void): () => void {
    this.#whenBack.add(happen)
    return () => void this.#whenBack.delete(happen)
  }

  /** Somebody is at the page. */
  handMoved(): void {
    this.#handAt = this.#means.now()
    this.#watch()
  }

  /** Something came over the line. */
  arrived(): void {
    this.#arrivedAt = this.#means.now()
    this.#found(true)
  }

  /** The browser says that there is no network, or that there may be one again. */
  networkChanged(isOnline: boolean): void {
    if (!isOnline) this.#found(false)
    clearTimeout(this.#timer)
    void this.#ask()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#handAt = -Infinity
    this.#whenBack.clear()
  }

  get #isWatched(): boolean {
    const isHandThere = this.#means.now() - this.#handAt < HAND_MS
    return this.#means.isVisible() && (isHandThere || !this.isThere)
  }

  #watch(): void {
    if (this.#timer !== undefined || this.#isAsking) return
    const quietMs = this.#means.now() - this.#arrivedAt
    this.#timer = setTimeout(() => void this.#ask(), Math.max(0, BEAT_MS - quietMs))
  }

  async #ask(): Promise<void> {
    this.#timer = undefined
    if (this.#isAsking || !this.#isWatched) return
    const began = this.#means.now()
    if (began - this.#arrivedAt >= BEAT_MS) {
      this.#isAsking = true
      const isThere = await this.#means.ask(AbortSignal.timeout(PATIENCE_MS))
      this.#isAsking = false
      if (isThere) this.arrived()
      else this.#found(this.#arrivedAt > began)
    }
    this.#timer = setTimeout(() => void this.#ask(), BEAT_MS)
  }

  #found(isThere: boolean): void {
    const isBack = isThere && !this.isThere
    this.isThere = isThere
    if (isBack) for (const happen of this.#whenBack) happen()
  }
}

/** The line of this browser, followed; the function that comes back ends it. */
export function followLine(): [Line, () => void] {
  const line = new Line({
    ask: async (signal) => {
      try {
        await fetch('/', { method: 'HEAD', cache: 'no-store', priority: 'high', signal })
        return true
      } catch {
        return false
      }
    },
    now: () => performance.now(),
    isVisible: () => !document.hidden,
  })
  const ending = new AbortController()
  const { signal } = ending
  for (const name of ['pointermove', 'pointerdown', 'keydown', 'wheel'])
    addEventListener(name, () => line.handMoved(), { signal, passive: true, capture: true })
  addEventListener('offline', () => line.networkChanged(false), { signal })
  addEventListener('online', () => line.networkChanged(true), { signal })
  const observer = new PerformanceObserver((list) => {
    if (list.getEntries().some((entry) => (entry as PerformanceResourceTiming).responseStatus > 0)) line.arrived()
  })
  observer.observe({ type: 'resource' })
  return [line, () => (ending.abort(), observer.disconnect(), line.stop())]
}
