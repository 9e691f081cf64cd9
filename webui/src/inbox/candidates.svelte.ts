import type { Failure, Patient, PatientAsHeld, Toplevel } from '../api'
import { succeeded } from '../api'
import { Newest } from '../shared/newest'
import { ranked, searchesFor } from './candidates'

const PAUSE_MS = 180
const FOUND = 8

/** The patients that a physician may choose from: likely ones first, then those of a search of their own. */
export class Candidates {
  failure: Failure | null = $state.raw(null)
  isNobodyFound = $state(false)

  #likely: Patient[] = $state.raw([])
  #found: Patient[] = $state.raw([])
  readonly #toplevel: Toplevel
  readonly #institutionId: string
  readonly #newest = new Newest()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(toplevel: Toplevel, institutionId: string) {
    this.#toplevel = toplevel
    this.#institutionId = institutionId
  }

  get patients(): Patient[] {
    const likely = new Set(this.#likely.map(({ id }) => id))
    return [...this.#likely, ...this.#found.filter(({ id }) => !likely.has(id))]
  }

  /** Looks for likely ones by what the study says; `candidateId` is whom its number belongs to. */
  async find(held: PatientAsHeld, candidateId: string | null): Promise<void> {
    const outcomes = await Promise.all([
      ...searchesFor(held).map((text) => this.#toplevel.patients(text, 0, FOUND)),
      ...(candidateId ? [this.#toplevel.patient(candidateId).then((one) => (one.ok ? succeeded({ patients: [one.value] }) : one))] : []),
    ])
    this.#likely = ranked(
      held,
      outcomes.flatMap((outcome) => (outcome.ok ? outcome.value.patients : [])),
      this.#institutionId,
    )
    const failed = outcomes.find((outcome) => !outcome.ok)
    this.failure = failed && !failed.ok ? failed.failure : null
  }

  search(text: string): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#ask(text.trim()), PAUSE_MS)
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#newest.stop()
  }

  async #ask(text: string): Promise<void> {
    if (!text) {
      this.#found = []
      this.isNobodyFound = false
      return
    }
    const outcome = await this.#newest.ask((signal) => this.#toplevel.patients(text, 0, FOUND, signal))
    if (!outcome.ok && outcome.failure.kind === 'aborted') return
    this.failure = outcome.ok ? null : outcome.failure
    this.#found = outcome.ok ? outcome.value.patients : []
    this.isNobodyFound = outcome.ok && !outcome.value.patients.length
  }
}
