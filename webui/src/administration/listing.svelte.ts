import type { Failure } from '../api'
import { Newest } from '../shared/newest'
import type { Office } from './office'
import { queryOf } from './query'

const PAUSE_MS = 180

/** The rows stand under a name of their own in each list. */
interface Answer {
  total?: number
  next: string | null
  [rows: string]: unknown
}

/** A list that a server filters, sorts and gives out part by part. */
export class Listing<T> {
  rows: T[] | null = $state.raw(null)
  /** Null where the server does not count. */
  total: number | null = $state(null)
  failure: Failure | null = $state.raw(null)
  isLoading = $state(false)
  hasMore = $state(false)

  readonly #office: Office
  readonly #baseUrl: string
  readonly #path: string
  readonly #key: string
  readonly #newest = new Newest()
  #filters: Readonly<Record<string, string>> = {}
  #next: string | null = null
  #timer: ReturnType<typeof setTimeout> | undefined

  /** `key` is the name of the rows in the answer. */
  constructor(office: Office, baseUrl: string, path: string, key: string) {
    this.#office = office
    this.#baseUrl = baseUrl
    this.#path = path
    this.#key = key
  }

  /** The first part for these filters. What was there before stays until the answer has come. */
  async load(filters: Readonly<Record<string, string>> = this.#filters): Promise<void> {
    clearTimeout(this.#timer)
    this.#filters = filters
    await this.#ask([], null)
  }

  /** The same when whoever types rests, for the filters of that moment: a choice is bound after it is told. */
  loadSoon(filters: () => Readonly<Record<string, string>>): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.load({ ...filters() }), PAUSE_MS)
  }

  async loadMore(): Promise<void> {
    if (this.#next !== null) await this.#ask(this.rows ?? [], this.#next)
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#newest.stop()
  }

  async #ask(before: T[], cursor: string | null): Promise<void> {
    this.isLoading = true
    const query = queryOf({ ...this.#filters, cursor: cursor ?? '' })
    const path = query ? `${this.#path}?${query}` : this.#path
    const outcome = await this.#newest.ask((signal) => this.#office.get<Answer>(this.#baseUrl, path, signal))
    if (!outcome.ok && outcome.failure.kind === 'aborted') return
    this.isLoading = false
    this.failure = outcome.ok ? null : outcome.failure
    if (!outcome.ok) return
    this.rows = [...before, ...(outcome.value[this.#key] as T[])]
    this.total = outcome.value.total ?? null
    this.#next = outcome.value.next
    this.hasMore = this.#next !== null
  }
}
