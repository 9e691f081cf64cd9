/** Logging in with a passkey. It is fetched when somebody wants to. */

import { askJson, isRefusedAs, jsonBody, type Failure, type Outcome, type SessionGrant } from '../api'
import { forgetPasskey, usePasskey } from './authenticator'
import { sentenceOf } from './sentences'
import { accountTexts } from '../shared/texts'

/** Who is let in by a grant. */
export interface Entered {
  enterBy(outcome: Outcome<SessionGrant>): Failure | null
}

/** What is to be said to the one at the screen; nothing when they are in. */
export async function logInWithPasskey(session: Entered, fetchWith: typeof fetch = fetch): Promise<string> {
  const asked = await askJson<PublicKeyCredentialRequestOptionsJSON>('/api/session/passkey-request', { method: 'POST' }, fetchWith)
  if (!asked.ok) return sentenceOf(asked.failure)
  const shown = await usePasskey(asked.value)
  if (shown.kind !== 'done') return accountTexts.gestures[shown.kind]
  const demand = jsonBody('POST', { credential: shown.credential })
  const failure = session.enterBy(await askJson<SessionGrant>('/api/session/passkey?with=directory', demand, fetchWith))
  if (!failure) return ''
  if (isRefusedAs(failure, 'unknown-passkey')) await forgetPasskey(asked.value.rpId ?? '', shown.credential.id)
  return sentenceOf(failure)
}
