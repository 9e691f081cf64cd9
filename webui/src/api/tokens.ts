/** Where the access token comes from; the session keeps it, everybody else asks. */

import { failed, isUnauthenticated, type Outcome } from './outcome'

export interface Token {
  value: string
  /** Milliseconds since the epoch. */
  expiresAt: number
}

export interface TokenSource {
  /** One that is good for some seconds still, renewed if need be; null if nobody is logged in. */
  current(): Promise<Token | null>
  /** A new one, after a server refused the one we had. */
  renewed(): Promise<Token | null>
}

const NOBODY = failed({
  kind: 'refused',
  problem: { type: 'not-authenticated', title: 'Nobody is logged in', status: 401 },
  retryAfterS: null,
})

/** `call` with a token; once more with a renewed one if the first was refused. */
export async function withToken<T>(tokens: TokenSource, call: (token: Token) => Promise<Outcome<T>>): Promise<Outcome<T>> {
  const token = await tokens.current()
  if (!token) return NOBODY
  const outcome = await call(token)
  if (!isUnauthenticated(outcome)) return outcome
  const renewed = await tokens.renewed()
  return renewed ? call(renewed) : outcome
}

export const bearer = (token: Token): Record<string, string> => ({ Authorization: `Bearer ${token.value}` })
