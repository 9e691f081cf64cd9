import type { Failure, InstitutionEntry, Outcome } from '../../api'

/** What one institution answered, or that it has not. */
export type Answer<T> = { kind: 'loading' } | { kind: 'failed'; failure: Failure } | { kind: 'there'; items: T[] }

type Ask<T> = (institution: InstitutionEntry, signal: AbortSignal) => Promise<Outcome<T[]>>

/** One question to all institutions at once; each answers for itself, and a dark one holds up nobody. */
export class Places<T> {
  answers: Record<string, Answer<T>> = $state.raw({})

  readonly #institutions: InstitutionEntry[]
  readonly #ask: Ask<T>
  readonly #controller = new AbortController()

  constructor(institutions: InstitutionEntry[], ask: Ask<T>) {
    this.#institutions = institutions
    this.#ask = ask
  }

  load(): void {
    for (const institution of this.#institutions) void this.loadFrom(institution)
  }

  /** Asks those again that did not answer. */
  loadFailed(): void {
    for (const institution of this.#institutions) if (this.answers[institution.id]?.kind === 'failed') void this.loadFrom(institution)
  }

  async loadFrom(institution: InstitutionEntry): Promise<void> {
    this.#note(institution, { kind: 'loading' })
    const outcome = await this.#ask(institution, this.#controller.signal)
    this.#note(institution, outcome.ok ? { kind: 'there', items: outcome.value } : { kind: 'failed', failure: outcome.failure })
  }

  close(): void {
    this.#controller.abort()
  }

  #note(institution: InstitutionEntry, answer: Answer<T>): void {
    this.answers = { ...this.answers, [institution.id]: answer }
  }
}

export interface Placed<T> {
  institution: InstitutionEntry
  item: T
}

/** All that has been answered, each with its institution. */
export function allThere<T>(institutions: InstitutionEntry[], answers: Record<string, Answer<T>>): Placed<T>[] {
  return institutions.flatMap((institution) => {
    const answer = answers[institution.id]
    return answer?.kind === 'there' ? answer.items.map((item) => ({ institution, item })) : []
  })
}

export const isAnyLoading = (answers: Record<string, Answer<unknown>>): boolean =>
  Object.values(answers).some((answer) => answer.kind === 'loading')
