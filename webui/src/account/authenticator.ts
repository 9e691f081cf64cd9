/** What the authenticators of the one at the screen are asked, by way of the browser (WebAuthn Level 3). */

export type Gesture =
  /** What the toplevel is told, as `PublicKeyCredential.toJSON` has it. */
  | { kind: 'done'; credential: { id: string } }
  /** They did not want to, were not recognised, or let the time pass: browsers do not say which. */
  | { kind: 'given-up' }
  /** This authenticator holds a passkey of the account already. */
  | { kind: 'had-already' }
  /** The page was opened under a name that passkeys of this appliance do not belong to. */
  | { kind: 'other-address' }
  /** Neither the browser nor anything that it reaches can do it. */
  | { kind: 'not-able' }

const ENDS: Record<string, Exclude<Gesture['kind'], 'done'>> = {
  NotAllowedError: 'given-up',
  AbortError: 'given-up',
  InvalidStateError: 'had-already',
  SecurityError: 'other-address',
  ConstraintError: 'not-able',
  NotSupportedError: 'not-able',
}

export const makePasskey = (options: PublicKeyCredentialCreationOptionsJSON): Promise<Gesture> =>
  gesture(() => navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) }))

export const usePasskey = (options: PublicKeyCredentialRequestOptionsJSON): Promise<Gesture> =>
  gesture(() => navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) }))

/** Whatever keeps the passkeys hears that this one is not known any more and offers it no longer, where the browser can say so. */
export async function forgetPasskey(rpId: string, credentialId: string): Promise<void> {
  if ('signalUnknownCredential' in PublicKeyCredential) await PublicKeyCredential.signalUnknownCredential({ rpId, credentialId })
}

async function gesture(ask: () => Promise<Credential | null>): Promise<Gesture> {
  // Older browsers know passkeys and not their JSON (WebAuthn Level 3 §5.1.8).
  if (typeof PublicKeyCredential === 'undefined' || !('parseRequestOptionsFromJSON' in PublicKeyCredential)) {
    return { kind: 'not-able' }
  }
  try {
    const credential = await ask()
    return credential ? { kind: 'done', credential: (credential as PublicKeyCredential).toJSON() } : { kind: 'given-up' }
  } catch (error) {
    const kind = error instanceof DOMException && ENDS[error.name]
    if (!kind) throw error
    return { kind }
  }
}
