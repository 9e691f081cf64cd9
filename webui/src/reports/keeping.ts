/**
 * What was written and no institution has acknowledged, kept in this tab for as long as it is open: neither a lost line nor a
 * session that ended takes what was typed. Each belongs to an account and a patient; who logs out takes all of them away.
 */

import type { DraftToKeep } from '../api'
import type { Draft } from './draft'

const PREFIX = 'report-draft '

export interface Unacknowledged {
  draft: Draft
  /** Of the report as it was seen; null where there was none. */
  tag: string | null
  /** What was sent last and may have arrived. */
  sent: DraftToKeep | null
}

export class LocalDrafts {
  readonly #prefix: string

  constructor(accountId: string, patientId: string) {
    this.#prefix = `${PREFIX}${accountId} ${patientId} `
  }

  all(): Unacknowledged[] {
    const keys = Object.keys(sessionStorage).filter((key) => key.startsWith(this.#prefix))
    return keys.map((key) => JSON.parse(sessionStorage.getItem(key)!) as Unacknowledged)
  }

  of(reportId: string): Unacknowledged | null {
    const text = sessionStorage.getItem(this.#prefix + reportId)
    return text === null ? null : (JSON.parse(text) as Unacknowledged)
  }

  keep(unacknowledged: Unacknowledged): void {
    sessionStorage.setItem(this.#prefix + unacknowledged.draft.reportId, JSON.stringify(unacknowledged))
  }

  forget(reportId: string): void {
    sessionStorage.removeItem(this.#prefix + reportId)
  }
}

export function forgetDrafts(): void {
  for (const key of Object.keys(sessionStorage)) if (/^(report-draft|marking) /.test(key)) sessionStorage.removeItem(key)
}
