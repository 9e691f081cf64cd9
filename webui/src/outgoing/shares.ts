/** Links by which a study is shown to somebody without an account: made and listed at the toplevel, from which the page comes. */

import type { Entrances, Outcome } from '../api'

export type ShareState = 'open' | 'ended' | 'revoked' | 'locked'

export interface Share {
  id: string
  study_uid: string
  recipient: string
  made_at: string
  ends_at: string
  state: ShareState
  opened: number
}

export interface NewShare {
  share: Share
  secret: string
  pin: string
}

export const LASTING_HOURS = [24, 72, 168, 720] as const
export const SHARED_PATH = '/shared'

export const makeShare = (entrances: Entrances, studyUid: string, hours: number, recipient: string): Promise<Outcome<NewShare>> =>
  entrances.postJson('', '/api/shares', { study_uid: studyUid, hours, recipient })

export async function sharesOf(entrances: Entrances, studyUid: string): Promise<Outcome<Share[]>> {
  const outcome = await entrances.getJson<{ shares: Share[] }>(location.origin, '/api/shares')
  return outcome.ok ? { ok: true, value: outcome.value.shares.filter((one) => one.study_uid === studyUid) } : outcome
}

export const takeBack = (entrances: Entrances, id: string): Promise<Outcome<void>> => entrances.delete('', `/api/shares/${id}`)

/** What stands behind # is sent to no server. */
export const addressOfShare = (secret: string, origin = location.origin): string => `${origin}${SHARED_PATH}#${secret}`

export const secretIn = (hash: string): string | null => /^#([\w-]{20,100})$/.exec(hash)?.[1] ?? null
