/**
 * Institutions and nodes, each entered once with the token for a short-lived cookie. Those with the page's own host name,
 * at whatever port, need not be: the toplevel gives that cookie with each token.
 *
 * From then on GETs carry no header of ours, so that a browser asks for them without a preflight: on a line of 100 ms
 * that halves the time of every picture. Entered again before the cookie ends and after a 401.
 */

import { failed, isUnauthenticated, succeeded, type Outcome } from './outcome'
import { ask, askJson, jsonBody, type Demand } from './request'
import type { Directory } from './contract'
import type { Stores } from './stores'
import { bearer, withToken, type Token, type TokenSource } from './tokens'

/** A cookie that ends within this time is renewed first; a request may wait that long in a queue. */
const MARGIN_MS = 20_000

interface Entry {
  expiresAt: number
  entering: Promise<Outcome<Token>> | null
}

export class Entrances {
  readonly #entries = new Map<string, Entry>()
  readonly #tokens: TokenSource
  readonly #fetch: typeof fetch
  readonly #ownHost: string
  /** Where a cookie was refused, or is not to be relied on: the token's own included. */
  readonly #refused = new Set<string>()

  constructor(tokens: TokenSource, ownHost = '', fetchWith: typeof fetch = (...parameters) => fetch(...parameters)) {
    this.#tokens = tokens
    this.#fetch = fetchWith
    this.#ownHost = ownHost
  }

  /** Several nodes over one store, where the directory names such. */
  stores: Promise<Stores | null> | null = null

  know({ institutions }: Directory): void {
    const nodes = institutions.flatMap(({ nodes }) => nodes)
    if (nodes.some(({ draws_for }) => draws_for))
      this.stores = import('./stores').then(({ Stores }) => new Stores(nodes, this.#fetch)).catch(() => null)
  }

  /** A simple GET of JSON. */
  getJson<T>(baseUrl: string, path: string, signal?: AbortSignal): Promise<Outcome<T>> {
    return this.#answered(baseUrl, path, (base) =>
      askJson<T>(base + path, { credentials: 'include', signal: signal ?? null }, this.#fetch),
    )
  }

  /** A simple GET of anything; `demand` may hold nothing that makes a preflight. */
  get(baseUrl: string, path: string, demand: Demand = {}): Promise<Outcome<Response>> {
    return this.#answered(baseUrl, path, (base) => ask(base + path, { ...demand, credentials: 'include' }, this.#fetch))
  }

  /** A write carries the token itself. */
  postJson<T>(baseUrl: string, path: string, body: unknown): Promise<Outcome<T>> {
    return this.#write('POST', baseUrl, path, body)
  }

  putJson<T>(baseUrl: string, path: string, body: unknown): Promise<Outcome<T>> {
    return this.#write('PUT', baseUrl, path, body)
  }

  delete<T>(baseUrl: string, path: string): Promise<Outcome<T>> {
    return this.#write('DELETE', baseUrl, path, undefined)
  }

  /** The same under a condition (RFC 9110 §13.1): `tag` is what was seen, null that there was nothing. */
  writeIf<T>(tag: string | null, method: 'PUT' | 'POST' | 'DELETE', baseUrl: string, path: string, body?: unknown): Promise<Outcome<T>> {
    return this.#write(method, baseUrl, path, body, tag === null ? { 'If-None-Match': '*' } : { 'If-Match': `"${tag}"` })
  }

  #write<T>(method: string, baseUrl: string, path: string, body: unknown, conditions: Record<string, string> = {}): Promise<Outcome<T>> {
    return withToken(this.#tokens, (token) => {
      const demand = body === undefined ? { method } : jsonBody(method, body)
      return askJson<T>(baseUrl + path, { ...demand, headers: { ...demand.headers, ...conditions, ...bearer(token) } }, this.#fetch)
    })
  }

  /** Enters if the cookie is missing or about to end. */
  async enter(baseUrl: string): Promise<Outcome<void>> {
    const entry = this.#entries.get(baseUrl)
    if (entry?.entering) return nothing(await entry.entering)
    if (entry && entry.expiresAt - Date.now() > MARGIN_MS) return succeeded(undefined)
    const entering = this.#enterNow(baseUrl)
    this.#entries.set(baseUrl, { expiresAt: 0, entering })
    const outcome = await entering
    if (outcome.ok) this.#entries.set(baseUrl, { expiresAt: outcome.value.expiresAt, entering: null })
    else this.#entries.delete(baseUrl)
    return nothing(outcome)
  }

  /** Somebody else did, with a cookie that is good until then, ms since the epoch. */
  hasEntered(baseUrl: string, until: number): void {
    if (!this.#entries.has(baseUrl)) this.#entries.set(baseUrl, { expiresAt: until, entering: null })
  }

  /** Enters wherever we have been, with the token of now: pictures in <img> cannot do it for themselves. */
  async enterAgain(): Promise<void> {
    const bases = [...this.#entries.keys()]
    this.#entries.clear()
    await Promise.all(bases.map((base) => this.enter(base)))
  }

  forget(baseUrl: string): void {
    this.#entries.delete(baseUrl)
    this.#refused.add(baseUrl)
  }

  /** Gives the cookies back. A server that cannot be reached keeps one that ends by itself within minutes. */
  async leave(token: Token): Promise<void> {
    const bases = [...this.#entries.keys()]
    this.#entries.clear()
    const demand: Demand = { method: 'DELETE', credentials: 'include', headers: bearer(token), timeoutMs: 3_000 }
    await Promise.all(bases.map((base) => ask(`${base}/api/access`, demand, this.#fetch)))
  }

  async #answered<T>(baseUrl: string, path: string, call: (base: string) => Promise<Outcome<T>>): Promise<Outcome<T>> {
    const stores = await this.stores
    return stores ? stores.answer(baseUrl, path, (base) => this.#inside(base, call)) : this.#inside(baseUrl, call)
  }

  async #inside<T>(baseUrl: string, call: (base: string) => Promise<Outcome<T>>): Promise<Outcome<T>> {
    const entered = await this.enter(baseUrl)
    if (!entered.ok) return entered
    const outcome = await call(baseUrl)
    if (!isUnauthenticated(outcome)) return outcome
    this.forget(baseUrl)
    const again = await this.enter(baseUrl)
    return again.ok ? call(baseUrl) : again
  }

  #enterNow(baseUrl: string): Promise<Outcome<Token>> {
    return withToken(this.#tokens, async (token) => {
      if (new URL(baseUrl).hostname === this.#ownHost && !this.#refused.has(baseUrl)) return succeeded(token)
      const demand: Demand = { method: 'POST', credentials: 'include', headers: bearer(token) }
      const outcome = await ask(`${baseUrl}/api/access`, demand, this.#fetch)
      if (outcome.ok) this.#refused.delete(baseUrl)
      return outcome.ok ? succeeded(token) : failed(outcome.failure)
    })
  }
}

const nothing = (outcome: Outcome<unknown>): Outcome<void> => (outcome.ok ? succeeded(undefined) : outcome)
