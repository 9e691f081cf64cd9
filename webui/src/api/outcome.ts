/** What comes back from a request: the value, or why there is none. Nothing here throws. */

/** The body of an error (RFC 9457); `type` is the stable key that the texts translate. */
export interface Problem {
  type: string
  title: string
  status: number
  [member: string]: unknown
}

export type Failure =
  /** The page itself took the request back. */
  | { kind: 'aborted' }
  /** No answer: no line, no server, or none in time. */
  | { kind: 'unreachable' }
  /** No answer, and the browser may be why: it keeps the page from servers of the network that it is in. */
  | { kind: 'kept-from-network' }
  /** An answer that says no. */
  | { kind: 'refused'; problem: Problem; retryAfterS: number | null }

export type Outcome<T> = { ok: true; value: T } | { ok: false; failure: Failure }

export const succeeded = <T>(value: T): Outcome<T> => ({ ok: true, value })

export const failed = (failure: Failure): { ok: false; failure: Failure } => ({ ok: false, failure })

export const isRefusedAs = (failure: Failure, type: string): boolean =>
  failure.kind === 'refused' && failure.problem.type === type

export const isUnauthenticated = (outcome: Outcome<unknown>): boolean =>
  !outcome.ok && outcome.failure.kind === 'refused' && outcome.failure.problem.status === 401
