/** The requests about one's own account. They lie here and not with the others, since few pages ask them. */

import {
  askJson,
  bearer,
  jsonBody,
  withToken,
  type Contact,
  type KeptSession,
  type NewAuthenticator,
  type Outcome,
  type Passkey,
  type PasskeyList,
  type SecondFactor,
  type TokenSource,
} from '../api'

export interface RecoveryCodes {
  recovery_codes: string[]
}

export class OwnAccount {
  readonly #tokens: TokenSource
  readonly #fetch: typeof fetch

  /** `fetchWith` is there for tests. */
  constructor(tokens: TokenSource, fetchWith: typeof fetch = (...parameters) => fetch(...parameters)) {
    this.#tokens = tokens
    this.#fetch = fetchWith
  }

  contact = (): Promise<Outcome<Contact>> => this.#ask('GET', '/contact')
  setContact = (contact: Contact): Promise<Outcome<void>> => this.#ask('PUT', '/contact', contact)

  changePassword = (old: string, wanted: string): Promise<Outcome<void>> => this.#ask('PUT', '/password', { old, new: wanted })

  secondFactor = (): Promise<Outcome<SecondFactor>> => this.#ask('GET', '/second-factor')
  beginSecondFactor = (password: string): Promise<Outcome<NewAuthenticator>> => this.#ask('POST', '/second-factor', { password })
  turnOnSecondFactor = (code: string): Promise<Outcome<RecoveryCodes>> => this.#ask('PUT', '/second-factor', { code })
  makeRecoveryCodes = (password: string): Promise<Outcome<RecoveryCodes>> =>
    this.#ask('POST', '/second-factor/recovery-codes', { password })
  turnOffSecondFactor = (password: string): Promise<Outcome<void>> => this.#ask('POST', '/second-factor/removal', { password })

  passkeys = (): Promise<Outcome<PasskeyList>> => this.#ask('GET', '/passkeys')
  askForPasskey = (password: string): Promise<Outcome<PublicKeyCredentialCreationOptionsJSON>> =>
    this.#ask('POST', '/passkeys/request', { password })
  addPasskey = (name: string, credential: unknown): Promise<Outcome<Passkey>> =>
    this.#ask('POST', '/passkeys', { name, credential })
  renamePasskey = (id: string, name: string): Promise<Outcome<void>> => this.#ask('PUT', `/passkeys/${id}`, { name })
  removePasskey = (id: string): Promise<Outcome<void>> => this.#ask('DELETE', `/passkeys/${id}`)

  sessions = (): Promise<Outcome<{ sessions: KeptSession[] }>> => this.#ask('GET', '/sessions')
  endSession = (id: string): Promise<Outcome<void>> => this.#ask('DELETE', `/sessions/${id}`)

  #ask<T>(method: string, path: string, body?: object): Promise<Outcome<T>> {
    const demand = body ? jsonBody(method, body) : { method }
    return withToken(this.#tokens, (token) => {
      const headers = { ...bearer(token), ...(body && { 'Content-Type': 'application/json' }) }
      return askJson<T>(`/api/account${path}`, { ...demand, headers }, this.#fetch)
    })
  }
}
