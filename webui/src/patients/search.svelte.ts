import type { Failure, Patient, Toplevel } from '../api'
import { Newest } from '../shared/newest'

/** Long enough that a quick typist asks once a word, short enough to feel immediate. */
const PAUSE_MS = 180
const PAGE_SIZE = 50

/** The search for patients; it outlives its page, so that the back button finds it as it was left. */
export class PatientSearch {
  text = $state('')
  patients: Patient[] | null = $state.raw(null)
  total = $state(0)
  isLoading = $state(false)
  failure: Failure | null = $state.raw(null)

  readonly #toplevel: Toplevel
  readonly #newest = new Newest()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(toplevel: Toplevel) {
    this.#toplevel = toplevel
  }

  type(text: string): void {
    this.text = text
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.load(), PAUSE_MS)
  }

  /** The first patients for the text of now. What was found before stays until the answer is there. */
  async load(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#ask([])
  }

  async loadMore(): Promise<void> {
    await this.#ask(this.patients ?? [])
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#newest.stop()
    this.text = ''
    this.patients = null
    this.total = 0
    this.failure = null
  }

  async #ask(before: Patient[]): Promise<void> {
    this.isLoading = true
    const text = this.text.trim()
    const outcome = await this.#newest.ask((signal) => this.#toplevel.patients(text, before.length, PAGE_SIZE, signal))
    if (!outcome.ok && outcome.failure.kind === 'aborted') return
    this.isLoading = false
    this.failure = outcome.ok ? null : outcome.failure
    if (!outcome.ok) return
    this.patients = [...before, ...outcome.value.patients]
    this.total = outcome.value.total
  }
}
