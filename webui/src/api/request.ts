/** One request over the line, with its result as a value. */

import { failed, succeeded, type Failure, type Outcome, type Problem } from './outcome'

export interface Demand extends RequestInit {
  /** No answer within this time counts as unreachable; milliseconds. */
  timeoutMs?: number
}

/** A dark server must not hold the page: 15 s is twice the worst honest answer over a 750 kbit/s line. */
const TIMEOUT_MS = 15_000

/** The answer if its status is 2xx, else the failure. `fetchWith` is there for tests. */
export async function ask(url: string, demand: Demand = {}, fetchWith: typeof fetch = fetch): Promise<Outcome<Response>> {
  const { timeoutMs = TIMEOUT_MS, signal, ...init } = demand
  const deadline = AbortSignal.timeout(timeoutMs)
  const either = signal ? AbortSignal.any([signal, deadline]) : deadline
  try {
    const response = await fetchWith(url, { ...init, signal: either })
    return response.ok ? succeeded(response) : failed(await refusalOf(response))
  } catch (error) {
    const failure = failureOf(error, signal)
    const isKept = failure.kind === 'unreachable' && (await isKeptFromNetwork(url))
    return failed(isKept ? { kind: 'kept-from-network' } : failure)
  }
}

/** Of Local Network Access (WICG): its name now, and the one before, of which browsers may know neither. */
const NETWORK_PERMISSIONS = ['local-network', 'loopback-network', 'local-network-access']

/**
 * Whether the page may not ask servers of the local network at all. A browser asks its user once, where a page of a public
 * address asks for the first server of a private one, and from then on refuses without a word.
 */
async function isKeptFromNetwork(url: string): Promise<boolean> {
  if (!globalThis.navigator?.permissions || new URL(url, location.href).origin === location.origin) return false
  const states = await Promise.all(NETWORK_PERMISSIONS.map(stateOfPermission))
  return states.includes('denied')
}

const stateOfPermission = (name: string): Promise<PermissionState | null> =>
  navigator.permissions.query({ name: name as PermissionName }).then(
    ({ state }) => state,
    () => null,
  )

/** The body of an answer as JSON; an answer without a body is `undefined`. */
export async function askJson<T>(url: string, demand: Demand = {}, fetchWith: typeof fetch = fetch): Promise<Outcome<T>> {
  const outcome = await ask(url, demand, fetchWith)
  if (!outcome.ok) return outcome
  try {
    const text = await outcome.value.text()
    return succeeded((text ? JSON.parse(text) : undefined) as T)
  } catch (error) {
    return failed(failureOf(error, demand.signal))
  }
}

export const jsonBody = (method: string, body: unknown): Demand => ({
  method,
  body: JSON.stringify(body),
  headers: { 'Content-Type': 'application/json' },
})

/** A body that ends early or is not what was announced is a broken line, not a broken page. */
export function failureOf(error: unknown, signal: AbortSignal | null | undefined): Failure {
  if (signal?.aborted) return { kind: 'aborted' }
  if (error instanceof TypeError || error instanceof DOMException || error instanceof SyntaxError) {
    return { kind: 'unreachable' }
  }
  throw error
}

async function refusalOf(response: Response): Promise<Failure> {
  const wait = Number(response.headers.get('Retry-After'))
  return {
    kind: 'refused',
    problem: await problemOf(response),
    retryAfterS: Number.isFinite(wait) && wait > 0 ? wait : null,
  }
}

async function problemOf(response: Response): Promise<Problem> {
  const bare = { type: `status-${response.status}`, title: response.statusText, status: response.status }
  if (!response.headers.get('Content-Type')?.includes('json')) return bare
  try {
    return { ...bare, ...((await response.json()) as object) }
  } catch {
    return bare
  }
}
