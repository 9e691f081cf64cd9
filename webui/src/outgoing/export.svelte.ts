import type { Entrances, Failure, Outcome } from '../api'

export type ExportState = 'waiting' | 'running' | 'done' | 'stopped' | 'failed'

/** As the node tells it (docs/api.md). */
export interface ExportTold {
  id: string
  state: ExportState
  instances: number
  size_bytes: number
  instances_done: number
  bytes_done: number
  is_anonymised: boolean
  left_out: { series_uid: string; reason: string; instances: number }[]
  failure: string
}

export interface ExportWish {
  study_uid: string
  series_uid: string | null
  /** null: as it is. */
  dates: 'removed' | 'shifted' | null
}

const LOOK_MS = 500
/** The frame by which the browser saves it is needed as long as it asks. */
const isOver = ({ state }: ExportTold) => state !== 'waiting' && state !== 'running'

/**
 * One file set that goes out. The browser itself saves it, by a frame that nobody sees, with the cookie by which this page has
 * entered at the node: nothing of it passes through the page's memory, and nothing secret is in an address. The page asks how
 * far it is.
 */
export class ExportRun {
  told: ExportTold | null = $state.raw(null)
  failure: Failure | null = $state.raw(null)
  isAsked = $state(false)
  readonly #entrances: Entrances
  readonly #nodeUrl: string
  readonly #save: (address: string) => () => void
  #timer: ReturnType<typeof setTimeout> | undefined
  #letGo: () => void = () => {}

  constructor(entrances: Entrances, nodeUrl: string, save = saveByFrame) {
    this.#entrances = entrances
    this.#nodeUrl = nodeUrl
    this.#save = save
  }

  get isBusy(): boolean {
    return this.isAsked && !this.failure && !(this.told && isOver(this.told))
  }

  async begin({ study_uid, series_uid, dates }: ExportWish): Promise<void> {
    this.leave()
    this.told = null
    this.failure = null
    this.isAsked = true
    const wish = { study_uid, ...(series_uid ? { series_uid } : {}) }
    const asked = dates
      ? this.#entrances.postJson<ExportTold>(this.#nodeUrl, '/api/exports/anonymised', { ...wish, dates })
      : this.#entrances.postJson<ExportTold>(this.#nodeUrl, '/api/exports', wish)
    if (!this.#take(await asked)) return
    const entered = await this.#entrances.enter(this.#nodeUrl)
    if (!entered.ok) return void (this.failure = entered.failure)
    this.#letGo = this.#save(`${this.#nodeUrl}/api/exports/${this.told!.id}/media`)
    this.#follow()
  }

  async stop(): Promise<void> {
    if (!this.told || isOver(this.told)) return
    const stopped = await this.#entrances.delete<void>(this.#nodeUrl, `/api/exports/${this.told.id}`)
    if (stopped.ok) await this.#look()
    else this.failure = stopped.failure
  }

  /** Nothing is asked any more; what goes on goes on. */
  leave(): void {
    clearTimeout(this.#timer)
    this.#letGo()
    this.#letGo = () => {}
  }

  #follow(): void {
    this.#timer = setTimeout(() => void this.#look().then((goesOn) => goesOn && this.#follow()), LOOK_MS)
  }

  /** Whether there is more to come. A question that went astray is asked again. */
  async #look(): Promise<boolean> {
    const outcome = await this.#entrances.getJson<ExportTold>(this.#nodeUrl, `/api/exports/${this.told!.id}`)
    if (!outcome.ok && outcome.failure.kind === 'unreachable') return true
    const goesOn = this.#take(outcome) && !isOver(this.told!)
    if (!goesOn) this.leave()
    return goesOn
  }

  #take(outcome: Outcome<ExportTold>): boolean {
    if (outcome.ok) this.told = outcome.value
    else this.failure = outcome.failure
    return outcome.ok
  }
}

function saveByFrame(address: string): () => void {
  const frame = document.createElement('iframe')
  frame.hidden = true
  frame.src = address
  document.body.append(frame)
  return () => frame.remove()
}
