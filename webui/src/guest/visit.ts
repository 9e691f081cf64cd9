/** Somebody without an account, to whom a link shows a study. */

import { askJson, failed, jsonBody, succeeded, type Directory, type Outcome, type Token, type TokenSource } from '../api'
import { Navigation, type Route } from '../shared/router'

export interface Opened {
  access_token: string
  expires_in_s: number
  study_uid: string
  ends_at: string
  institution: Directory['institutions'][number] | null
}

/** Of a token that is good for minutes, so long before its end another is asked for. */
const MARGIN_MS = 30_000

/** The link's secret and the PIN live here, in memory, as long as the page is open: each token is asked for by them. */
export class Visit implements TokenSource {
  readonly #secret: string
  readonly #pin: string
  readonly #fetch: typeof fetch
  #token: Token | null = null
  #opening: Promise<Outcome<Opened>> | null = null

  constructor(secret: string, pin: string, fetchWith: typeof fetch = (...parameters) => fetch(...parameters)) {
    this.#secret = secret
    this.#pin = pin
    this.#fetch = fetchWith
  }

  /** Several that ask at once wait for one answer. */
  open(): Promise<Outcome<Opened>> {
    this.#opening ??= this.#open().finally(() => (this.#opening = null))
    return this.#opening
  }

  async current(): Promise<Token | null> {
    return this.#token && this.#token.expiresAt - Date.now() > MARGIN_MS ? this.#token : this.renewed()
  }

  async renewed(): Promise<Token | null> {
    await this.open()
    return this.#token
  }

  async #open(): Promise<Outcome<Opened>> {
    const asked = jsonBody('POST', { secret: this.#secret, pin: this.#pin })
    const outcome = await askJson<Opened>('/api/shares/opening', asked, this.#fetch)
    if (outcome.ok) {
      const { access_token, expires_in_s } = outcome.value
      this.#token = { value: access_token, expiresAt: Date.now() + expires_in_s * 1000 }
    } else if (outcome.failure.kind === 'refused') this.#token = null
    return outcome
  }
}

/** The node of an institution that holds a study: most have one; the first that says so. */
export async function nodeOf<T>(
  nodes: readonly { id: string; base_url: string }[],
  ask: (baseUrl: string) => Promise<Outcome<T>>,
): Promise<Outcome<{ id: string; answer: T }>> {
  let last = failed({ kind: 'refused', problem: { type: 'not-found', title: '', status: 404 }, retryAfterS: null } as const)
  for (const { id, base_url } of nodes) {
    const outcome = await ask(base_url)
    if (outcome.ok) return succeeded({ id, answer: outcome.value })
    last = failed(outcome.failure as never)
  }
  return last
}

/** A guest's page has one address, which keeps the link. */
export class Staying extends Navigation {
  override go(route: Route): void {
    this.route = route
  }

  override replace(route: Route): void {
    this.route = route
  }
}
