import type { Failure, Outcome, UploadAnswer } from '../api'
import type { ChosenFile } from './choose'
import { canBeRepeated, emptyTally, isBusy, moved, withWaiting, type Progress, type Tally } from './tally'

export type Send = (file: File, onProgress: (sentBytes: number) => void, signal: AbortSignal) => Promise<Outcome<UploadAnswer>>

/** Enough to hide the wait for each answer; more would only share the same line. */
const PARALLEL = 3

export class UploadItem {
  readonly path: string
  readonly file: File
  progress: Progress = $state.raw({ kind: 'waiting' })

  constructor({ path, file }: ChosenFile) {
    this.path = path
    this.file = file
  }
}

/** Keeps the queue while the page shows something else: an upload goes on behind the viewer. */
export interface UploadKeeper {
  queue: UploadQueue | null
}

/** Sends files, a few at a time, in the order they were chosen. */
export class UploadQueue {
  items: UploadItem[] = $state.raw([])
  tally: Tally = $state.raw(emptyTally())

  readonly #send: Send
  #waiting: UploadItem[] = []
  #sending = 0
  #controller = new AbortController()

  constructor(send: Send) {
    this.#send = send
  }

  add(files: ChosenFile[]): void {
    const items = files.map((file) => new UploadItem(file))
    this.items = [...this.items, ...items]
    this.tally = items.reduce((tally, item) => withWaiting(tally, item.file.size), this.tally)
    this.#waiting.push(...items)
    this.#fill()
  }

  get isBusy(): boolean {
    return isBusy(this.tally)
  }

  stop(): void {
    this.#controller.abort()
    this.#controller = new AbortController()
    this.#giveUpWaiting({ kind: 'cancelled' })
  }

  /** Sends what was stopped or did not get through. */
  repeat(): void {
    const again = this.items.filter((item) => canBeRepeated(item.progress))
    for (const item of again) this.#note(item, { kind: 'waiting' })
    this.#waiting.push(...again)
    this.#fill()
  }

  clear(): void {
    this.items = []
    this.tally = emptyTally()
  }

  #fill(): void {
    while (this.#sending < PARALLEL && this.#waiting.length) void this.#sendOne(this.#waiting.shift()!)
  }

  async #sendOne(item: UploadItem): Promise<void> {
    this.#sending += 1
    this.#note(item, { kind: 'sending', sentBytes: 0 })
    const onProgress = (sentBytes: number) => this.#note(item, { kind: 'sending', sentBytes })
    const outcome = await this.#send(item.file, onProgress, this.#controller.signal)
    this.#sending -= 1
    this.#note(item, progressAfter(outcome))
    // Without a line, and without room, the rest would only fail one after the other.
    if (!outcome.ok && endsTheQueue(outcome.failure)) this.#giveUpWaiting({ kind: 'failed', failure: outcome.failure })
    this.#fill()
  }

  #giveUpWaiting(progress: Progress): void {
    for (const item of this.#waiting.splice(0)) this.#note(item, progress)
  }

  #note(item: UploadItem, progress: Progress): void {
    this.tally = moved(this.tally, item.file.size, item.progress, progress)
    item.progress = progress
  }
}

export function progressAfter(outcome: Outcome<UploadAnswer>): Progress {
  if (outcome.ok) return { kind: outcome.value.outcome }
  const { failure } = outcome
  if (failure.kind === 'aborted') return { kind: 'cancelled' }
  return endsTheQueue(failure) ? { kind: 'failed', failure } : { kind: 'refused', failure }
}

const ENDING_STATUS = new Set([401, 403, 429, 502, 503, 507])

const endsTheQueue = (failure: Failure): boolean =>
  failure.kind === 'unreachable' || failure.kind === 'kept-from-network' || (failure.kind === 'refused' && ENDING_STATUS.has(failure.problem.status))
