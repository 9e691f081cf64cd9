import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Session } from './session.svelte'

const GRANT = { access_token: 'first', expires_in_s: 600, account: { id: 'a', username: 'ada' } }

/** A toplevel that keeps the rule: a refresh cookie is good until it is given back, and each renewal makes a new token. */
class FakeToplevel {
  hasCookie = false
  isDark = false
  renewals = 0

  readonly fetch = async (url: string, init: RequestInit = {}): Promise<Response> => {
    if (this.isDark) throw new TypeError('Failed to fetch')
    if (init.method === 'DELETE') {
      this.hasCookie = false
      return new Response(null, { status: 204 })
    }
    if (url.includes('/renewal')) return this.renew()
    this.hasCookie = true
    return Response.json(GRANT)
  }

  private renew(): Response {
    if (!this.hasCookie) return Response.json({ type: 'session-ended' }, { status: 401 })
    this.renewals += 1
    return Response.json({ ...GRANT, access_token: `renewed-${this.renewals}` })
  }
}

let toplevel: FakeToplevel
beforeEach(() => {
  vi.useFakeTimers()
  toplevel = new FakeToplevel()
  const kept = new Map<string, string>()
  vi.stubGlobal('fetch', toplevel.fetch)
  vi.stubGlobal('navigator', { locks: { request: (_name: string, call: () => unknown) => call() } })
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  })
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

describe('a session', () => {
  it('goes on when the page is opened again', async () => {
    toplevel.hasCookie = true
    const session = new Session()

    await session.restore()

    expect(session.state.kind).toBe('in')
    expect((await session.current())?.value).toBe('renewed-1')
  })

  it('asks for a login when the browser holds none', async () => {
    const session = new Session()
    await session.restore()

    expect(session.state).toEqual({ kind: 'out', hasEnded: false })
  })

  it('does not ask for a login when the toplevel cannot be asked', async () => {
    toplevel.isDark = true
    const session = new Session()
    await session.restore()

    expect(session.state.kind).toBe('unreachable')
  })

  it('is renewed silently before its token ends', async () => {
    const session = new Session()
    await session.enter('ada', 'secret')

    await vi.advanceTimersByTimeAsync(480_000)

    expect((await session.current())?.value).toBe('renewed-1')
  })

  it('is renewed once for all who ask at the same time', async () => {
    const session = new Session()
    await session.enter('ada', 'secret')

    await Promise.all([session.renewed(), session.renewed(), session.renewed()])

    expect(toplevel.renewals).toBe(1)
  })

  it('goes on with the token it has while the toplevel is away, and tries again', async () => {
    const session = new Session()
    await session.enter('ada', 'secret')
    toplevel.isDark = true
    await vi.advanceTimersByTimeAsync(485_000)
    expect((await session.current())?.value).toBe('first')

    toplevel.isDark = false
    await vi.advanceTimersByTimeAsync(10_000)
    expect((await session.current())?.value).toBe('renewed-1')
  })

  it('says that it has ended when the toplevel says so', async () => {
    const session = new Session()
    await session.enter('ada', 'secret')
    toplevel.hasCookie = false

    await vi.advanceTimersByTimeAsync(480_000)

    expect(session.state).toEqual({ kind: 'out', hasEnded: true })
  })

  it('is over for who logged out while the toplevel was away, also for the next who opens the page', async () => {
    const session = new Session()
    await session.enter('ada', 'secret')
    toplevel.isDark = true
    await session.leave()
    toplevel.isDark = false

    const next = new Session()
    await next.restore()

    expect(next.state).toEqual({ kind: 'out', hasEnded: false })
    expect(toplevel.hasCookie).toBe(false)
  })

  it('does not come back when a renewal answers after the logout', async () => {
    const session = new Session()
    await session.enter('ada', 'secret')
    const renewal = session.renewed()
    await session.leave()

    expect(await renewal).toBeNull()
    expect(session.state.kind).toBe('out')
  })
})
