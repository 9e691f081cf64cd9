import { expect, it } from 'vitest'
import { OwnAccount } from './own'

const TOKEN = { value: 'abc', expiresAt: Infinity }
const TOKENS = { current: async () => TOKEN, renewed: async () => TOKEN }

/** What was asked for, and one's own account that asks. */
function asking(answer: () => Response): [OwnAccount, [string, RequestInit][]] {
  const asked: [string, RequestInit][] = []
  const fetchWith = async (url: string | URL | Request, init: RequestInit = {}) => {
    asked.push([String(url), init])
    return answer()
  }
  return [new OwnAccount(TOKENS, fetchWith), asked]
}

it('asks with the token of the one who is logged in', async () => {
  const [own, asked] = asking(() => Response.json({ sessions: [] }))
  await own.sessions()

  const [url, init] = asked[0]!
  expect(url).toBe('/api/account/sessions')
  expect(init.headers).toEqual({ Authorization: 'Bearer abc' })
})

it('says what is wanted as JSON', async () => {
  const [own, asked] = asking(() => new Response(null, { status: 204 }))
  const outcome = await own.changePassword('before', 'after')

  const [url, init] = asked[0]!
  expect(outcome.ok).toBe(true)
  expect([url, init.method, init.body]).toEqual(['/api/account/password', 'PUT', '{"old":"before","new":"after"}'])
  expect(init.headers).toMatchObject({ 'Content-Type': 'application/json' })
})

it('gives back why something was refused', async () => {
  const problem = { type: 'no-such-passkey', title: 'There is no such passkey', status: 404 }
  const [own] = asking(() => Response.json(problem, { status: 404 }))

  expect(await own.removePasskey('1')).toEqual({ ok: false, failure: { kind: 'refused', problem, retryAfterS: null } })
})
