/** The requests that the toplevel answers. The page comes from it, so its address is our own. */

import type { Directory, Patient, PatientList, SessionGrant } from './contract'
import type { Outcome } from './outcome'
import { askJson, jsonBody } from './request'
import { bearer, withToken, type TokenSource } from './tokens'

const SESSION = '/api/session'

export const logIn = (username: string, password: string): Promise<Outcome<SessionGrant>> =>
  askJson(SESSION, jsonBody('POST', { username, password }))

/** Two tabs share one refresh cookie and each renewal spends it, so renewals of all tabs stand in one line. */
export const renewSession = (): Promise<Outcome<SessionGrant>> =>
  navigator.locks.request('session-renewal', () => askJson<SessionGrant>(`${SESSION}/renewal`, { method: 'POST' }))

export const logOut = (): Promise<Outcome<void>> => askJson(SESSION, { method: 'DELETE' })

export class Toplevel {
  readonly #tokens: TokenSource

  constructor(tokens: TokenSource) {
    this.#tokens = tokens
  }

  directory(): Promise<Outcome<Directory>> {
    return this.#get('/api/directory')
  }

  patients(search: string, offset: number, limit: number, signal?: AbortSignal): Promise<Outcome<PatientList>> {
    const query = new URLSearchParams({ search, limit: String(limit), offset: String(offset) })
    return this.#get(`/api/patients?${query}`, signal)
  }

  patient(patientId: string, signal?: AbortSignal): Promise<Outcome<Patient>> {
    return this.#get(`/api/patients/${patientId}`, signal)
  }

  #get<T>(path: string, signal?: AbortSignal): Promise<Outcome<T>> {
    return withToken(this.#tokens, (token) => askJson<T>(path, { headers: bearer(token), signal: signal ?? null }))
  }
}
