/**
 * What was drawn and the institution has not acknowledged, kept in this tab for as long as it is open, as drafts of reports are:
 * neither a lost line nor a reload takes it. Who logs out takes it away (`reports/keeping.ts`).
 */

import type { Figure } from './figures'

export interface Unacknowledged {
  readonly id: string
  /** null: it is to be removed. */
  readonly figure: Figure | null
  /** Of what it was made from; null where there was nothing. */
  readonly tag: string | null
  /** Whether it was sent and no answer came, so that it may have arrived. */
  readonly isUncertain: boolean
}

export class LocalFigures {
  readonly #key: string

  constructor(accountId: string, studyUid: string) {
    this.#key = `marking ${accountId} ${studyUid}`
  }

  all(): Unacknowledged[] {
    return JSON.parse(sessionStorage.getItem(this.#key) ?? '[]') as Unacknowledged[]
  }

  keep(all: readonly Unacknowledged[]): void {
    if (all.length) sessionStorage.setItem(this.#key, JSON.stringify(all))
    else sessionStorage.removeItem(this.#key)
  }
}
