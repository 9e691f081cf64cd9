import type { Entrances } from '../api'
import type { Stage } from './stage.svelte'

/** Where the file does not say: ten pictures a second. */
const USUAL_MS = 100
/** Nobody sees more, and no line brings more. */
const SHORTEST_MS = 1000 / 60
/** The rate that is told is that of the last pictures. */
const COUNTED = 10

/** What it needs of the world. */
export interface Clock {
  now(): number
  /** Once, soon; the function that comes back takes it back. */
  soon(happen: () => void): () => void
}

const SCREEN: Clock = {
  now: () => performance.now(),
  soon(happen) {
    const handle = requestAnimationFrame(happen)
    return () => cancelAnimationFrame(handle)
  },
}

/**
 * Goes through a series by itself, as fast as its files say.
 *
 * The next picture is asked for when the last one has been on the screen for its time: where the line is slower no picture is
 * left out, and the rate that is told is the true one.
 */
export class Cine {
  isPlaying = $state(false)
  /** Pictures a second of late, as they were seen. */
  rate = $state('')
  readonly #stage: Stage
  readonly #clock: Clock
  readonly #times: () => Promise<readonly number[] | null>
  #frameMs: readonly number[] | null = null
  #takeBack: (() => void) | null = null
  #seen: number[] = []

  /** `times` gives how long each slice is shown, ms; null where nobody says. */
  constructor(stage: Stage, times: () => Promise<readonly number[] | null>, clock: Clock = SCREEN) {
    this.#stage = stage
    this.#times = times
    this.#clock = clock
  }

  toggle(): void {
    if (this.isPlaying) this.stop()
    else if (this.#stage.count > 1) this.#start()
  }

  stop(): void {
    this.isPlaying = false
    this.#takeBack?.()
  }

  #start(): void {
    this.isPlaying = true
    this.rate = ''
    this.#seen = [this.#clock.now()]
    if (!this.#frameMs) void this.#times().then((times) => (this.#frameMs = times))
    const { mode } = this.#stage
    const go = () => {
      if (this.#stage.mode !== mode) return this.stop()
      this.#goOn()
      this.#takeBack = this.#clock.soon(go)
    }
    this.#takeBack = this.#clock.soon(go)
  }

  #goOn(): void {
    const stage = this.#stage
    const now = this.#clock.now()
    if (stage.shownIndex !== stage.index || now - this.#seen.at(-1)! < this.#durationMs() - SHORTEST_MS / 2) return
    stage.scrollTo((stage.index + 1) % stage.count)
    this.#seen = [...this.#seen.slice(-COUNTED), now]
    const span = now - this.#seen[0]!
    this.rate = `${(((this.#seen.length - 1) * 1000) / span).toFixed(1)}/s`
  }

  #durationMs(): number {
    const { mode, index } = this.#stage
    const said = mode === 'stack' ? (this.#frameMs?.[index] ?? USUAL_MS) : USUAL_MS
    return Math.max(SHORTEST_MS, said)
  }
}

const ALL = new WeakMap<Stage, Cine>()

/** One for each stage. */
export function cineOf(stage: Stage, entrances: Entrances): Cine {
  const cine = ALL.get(stage) ?? new Cine(stage, () => frameTimes(stage, entrances))
  ALL.set(stage, cine)
  return cine
}

/** As the files say; where they cannot be asked it goes on at the usual rate. */
async function frameTimes({ subject }: Stage, entrances: Entrances): Promise<number[] | null> {
  const path = `/api/studies/${subject.studyUid}/series/${subject.series.series_uid}/frame-times`
  const outcome = await entrances.getJson<{ frame_ms: number[] }>(subject.nodeUrl, path)
  return outcome.ok ? outcome.value.frame_ms : null
}
