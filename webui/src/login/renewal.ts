/** When a token has to be renewed. */

import type { SessionGrant, Token } from '../api'

/** A token that ends sooner is not used for a new request. */
const FRESH_FOR_MS = 5_000

export const tokenOf = (grant: SessionGrant, now: number): Token => ({
  value: grant.access_token,
  expiresAt: now + grant.expires_in_s * 1000,
})

export const isFresh = (token: Token | null, now: number): token is Token =>
  token !== null && token.expiresAt - now > FRESH_FOR_MS

/** After four fifths of its life: early enough for several tries on a bad line, late enough not to be a burden. */
export const renewalDelayMs = (expiresInS: number): number => Math.max(1, expiresInS * 0.8) * 1000
