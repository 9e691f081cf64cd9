import { afterEach, expect, it, vi } from 'vitest'
import type { Outcome, SessionGrant } from '../api'
import { logInWithPasskey } from './passkey-login'

const GRANT = { access_token: 'token', expires_in_s: 600, account: { username: 'ana' } }

/** A session as far as a login goes. */
class Entering {
  grant: SessionGrant | null = null

  enterBy(outcome: Outcome<SessionGrant>) {
    if (!outcome.ok) return outcome.failure
    this.grant = outcome.value
    return null
  }
}

function passkey(act: () => Promise<unknown>): void {
  const signalUnknownCredential = vi.fn(() => Promise.resolve())
  vi.stubGlobal('PublicKeyCredential', { parseRequestOptionsFromJSON: (options: unknown) => options, signalUnknownCredential })
  vi.stubGlobal('navigator', { credentials: { get: act } })
}

const answering = (answers: Record<string, () => Response>) => async (url: string | URL | Request) => answers[String(url)]!()

afterEach(() => vi.unstubAllGlobals())

it('lets in who has a passkey', async () => {
  passkey(async () => ({ toJSON: () => ({ id: 'x' }) }))
  const session = new Entering()
  const toplevel = answering({
    '/api/session/passkey-request': () => Response.json({ challenge: 'AAAA' }),
    '/api/session/passkey?with=directory': () => Response.json(GRANT),
  })

  expect(await logInWithPasskey(session, toplevel)).toBe('')
  expect(session.grant).toEqual(GRANT)
})

it('says that nothing was used by who gave up', async () => {
  passkey(() => Promise.reject(new DOMException('', 'NotAllowedError')))
  const toplevel = answering({ '/api/session/passkey-request': () => Response.json({ challenge: 'AAAA' }) })

  expect(await logInWithPasskey(new Entering(), toplevel)).toMatch(/No passkey was used/)
})

it('says why the appliance has none', async () => {
  const problem = { type: 'no-host-name', title: '', status: 409 }
  const toplevel = answering({ '/api/session/passkey-request': () => Response.json(problem, { status: 409 }) })

  expect(await logInWithPasskey(new Entering(), toplevel)).toMatch(/by an address and not by a name/)
})

it('says that the passkey was removed here, also to what keeps it', async () => {
  passkey(async () => ({ toJSON: () => ({ id: 'x' }) }))
  const problem = { type: 'unknown-passkey', title: '', status: 401 }
  const toplevel = answering({
    '/api/session/passkey-request': () => Response.json({ challenge: 'AAAA', rpId: 'box.example' }),
    '/api/session/passkey?with=directory': () => Response.json(problem, { status: 401 }),
  })

  expect(await logInWithPasskey(new Entering(), toplevel)).toMatch(/not known here/)
  expect(PublicKeyCredential.signalUnknownCredential).toHaveBeenCalledWith({ rpId: 'box.example', credentialId: 'x' })
})
