/** Requests to any server with the token itself: what administrators ask is asked seldom, so a preflight does no harm. */

import { askJson, bearer, jsonBody, withToken, type Outcome, type TokenSource } from '../api'

export class Office {
  readonly #tokens: TokenSource
  readonly #fetch: typeof fetch

  constructor(tokens: TokenSource, fetchWith: typeof fetch = (...parameters) => fetch(...parameters)) {
    this.#tokens = tokens
    this.#fetch = fetchWith
  }

  /** `baseUrl` is '' for the toplevel, from which the page comes. */
  get<T>(baseUrl: string, path: string, signal?: AbortSignal): Promise<Outcome<T>> {
    return withToken(this.#tokens, (token) =>
      askJson<T>(baseUrl + path, { headers: bearer(token), signal: signal ?? null }, this.#fetch),
    )
  }

  send<T>(method: 'POST' | 'PUT' | 'DELETE', baseUrl: string, path: string, body?: unknown): Promise<Outcome<T>> {
    const demand: RequestInit = body === undefined ? { method } : jsonBody(method, body)
    return withToken(this.#tokens, (token) =>
      askJson<T>(baseUrl + path, { ...demand, headers: { ...demand.headers, ...bearer(token) } }, this.#fetch),
    )
  }
}
