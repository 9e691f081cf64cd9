/** The requests that the toplevel answers. The page comes from it, so its address is our own. */

import type { Patient, PatientList, PatientToKeep, Place, SessionGrant } from './contract'
import type { Outcome } from './outcome'
import { askJson, jsonBody } from './request'
import { bearer, withToken, type TokenSource } from './tokens'

const SESSION = '/api/session'
/** Where institutions and nodes are comes with the first grant: one round trip less before anything of them is asked. */
const WITH_DIRECTORY = '?with=directory'

/** `code` is of the second factor, where the toplevel has asked for one. */
export const logIn = (username: string, password: string, code: string | null): Promise<Outcome<SessionGrant>> =>
  askJson(`${SESSION}${WITH_DIRECTORY}`, jsonBody('POST', { username, password, code }))

/** The first renewal of the page, with the directory; index.html has asked for it already, if it could. */
export function resumeSession(): Promise<Outcome<SessionGrant>> {
  const { renewal } = globalThis
  if (!renewal) return renew(WITH_DIRECTORY)
  delete globalThis.renewal
  return askJson('', {}, async () => {
    const answer = await renewal
    if (answer instanceof Response) return answer
    throw answer
  })
}

export const renewSession = (): Promise<Outcome<SessionGrant>> => renew('')

/**
 * Two tabs share one refresh cookie and each renewal spends it, so renewals of all tabs stand in one line. That of a page
 * which opens does not wait in it, for the browser may take longer over that than the line: a spent one is good for a moment.
 */
const renew = (query: string): Promise<Outcome<SessionGrant>> =>
  navigator.locks.request('session-renewal', () => askJson<SessionGrant>(`${SESSION}/renewal${query}`, { method: 'POST' }))

declare global {
  /** The answer, or what came instead of one. */
  var renewal: Promise<unknown> | undefined
}

export const logOut = (): Promise<Outcome<void>> => askJson(SESSION, { method: 'DELETE' })

/** Whose address this is; of a server that has no such answer, a toplevel's. */
export const askPlace = (): Promise<Outcome<Place>> => askJson('/api/place')

export class Toplevel {
  /** Called with each answer, and where there is none: whether the toplevel is away. */
  onAnswer: (isAway: boolean) => void = () => {}
  readonly #tokens: TokenSource

  constructor(tokens: TokenSource) {
    this.#tokens = tokens
  }

  patients(search: string, offset: number, limit: number, signal?: AbortSignal): Promise<Outcome<PatientList>> {
    const query = new URLSearchParams({ search, limit: String(limit), offset: String(offset) })
    return this.#get(`/api/patients?${query}`, signal)
  }

  patient(patientId: string, signal?: AbortSignal): Promise<Outcome<Patient>> {
    return this.#get(`/api/patients/${patientId}`, signal)
  }

  addPatient(wanted: PatientToKeep): Promise<Outcome<Patient>> {
    return this.#write('POST', '/api/patients', wanted)
  }

  changePatient({ id, tag }: Patient, wanted: PatientToKeep): Promise<Outcome<Patient>> {
    return this.#write('PUT', `/api/patients/${id}`, wanted, tag)
  }

  removePatient({ id, tag }: Patient): Promise<Outcome<void>> {
    return this.#write('DELETE', `/api/patients/${id}`, undefined, tag)
  }

  /** What is the duplicate's is the kept patient's from then on. */
  mergePatients(kept: Patient, duplicate: Patient): Promise<Outcome<Patient>> {
    const body = { duplicate_id: duplicate.id, duplicate_tag: duplicate.tag }
    return this.#write('POST', `/api/patients/${kept.id}/merge`, body, kept.tag)
  }

  #write<T>(method: string, path: string, body?: unknown, tag?: string): Promise<Outcome<T>> {
    const demand = body === undefined ? { method } : jsonBody(method, body)
    const condition: Record<string, string> = tag === undefined ? {} : { 'If-Match': `"${tag}"` }
    return withToken(this.#tokens, (token) => askJson<T>(path, { ...demand, headers: { ...demand.headers, ...condition, ...bearer(token) } }))
  }

  async #get<T>(path: string, signal?: AbortSignal): Promise<Outcome<T>> {
    const outcome = await withToken(this.#tokens, (token) => askJson<T>(path, { headers: bearer(token), signal: signal ?? null }))
    if (outcome.ok || outcome.failure.kind !== 'aborted') this.onAnswer(!outcome.ok && outcome.failure.kind === 'unreachable')
    return outcome
  }
}
