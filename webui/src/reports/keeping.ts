/**
 * Drafts of reports, kept in this tab for as long as it is open: neither a lost line nor a session that ended takes what was
 * typed. Each belongs to an account and a patient; who logs out takes all of them away.
 */

import type { Draft } from './draft'

const PREFIX = 'report-draft '

export class KeptDraft {
  readonly #key: string

  constructor(accountId: string, patientId: string) {
    this.#key = `${PREFIX}${accountId} ${patientId}`
  }

  get isThere(): boolean {
    return sessionStorage.getItem(this.#key) !== null
  }

  read(): Draft | null {
    const text = sessionStorage.getItem(this.#key)
    return text === null ? null : (JSON.parse(text) as Draft)
  }

  keep(draft: Draft): void {
    sessionStorage.setItem(this.#key, JSON.stringify(draft))
  }

  forget(): void {
    sessionStorage.removeItem(this.#key)
  }
}

export function forgetDrafts(): void {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith(PREFIX)) sessionStorage.removeItem(key)
}
