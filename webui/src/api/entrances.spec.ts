import { describe, expect, it } from 'vitest'
import { Entrances } from './entrances'
import type { TokenSource } from './tokens'

const BASE = 'https://clinic.example'

function tokensThatLast(lifetimeMs: number): TokenSource {
  let number = 0
  const next = async () => ({ value: `token-${++number}`, expiresAt: Date.now() + lifetimeMs })
  return { current: next, renewed: next }
}

/** A server that keeps the rule: a GET is let in only after an entry, and can be told to forget it. */
class ClinicServer {
  readonly requests: { method: string; url: string; headers: Headers; credentials: string | undefined }[] = []
  isEntered = false
  isDark = false

  readonly fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const method = init.method ?? 'GET'
    this.requests.push({ method, url: String(input), headers: new Headers(init.headers), credentials: init.credentials })
    if (this.isDark) throw new TypeError('Failed to fetch')
    if (method === 'POST') {
      this.isEntered = true
      return new Response(null, { status: 204 })
    }
    return this.isEntered ? Response.json({ studies: [] }) : Response.json({ type: 'not-authenticated' }, { status: 401 })
  }

  methods(): string[] {
    return this.requests.map((request) => request.method)
  }
}

describe('an entrance', () => {
  it('is passed once before the first GET', async () => {
    const server = new ClinicServer()
    const entrances = new Entrances(tokensThatLast(600_000), 'page.example', server.fetch)

    await entrances.getJson(BASE, '/a')
    await entrances.getJson(BASE, '/b')

    expect(server.methods()).toEqual(['POST', 'GET', 'GET'])
  })

  it('is passed once by requests that come at the same time', async () => {
    const server = new ClinicServer()
    const entrances = new Entrances(tokensThatLast(600_000), 'page.example', server.fetch)

    await Promise.all([entrances.getJson(BASE, '/a'), entrances.getJson(BASE, '/b')])

    expect(server.methods().filter((method) => method === 'POST')).toHaveLength(1)
  })

  it('leaves GETs without a header of ours, so that there is no preflight', async () => {
    const server = new ClinicServer()

    await new Entrances(tokensThatLast(600_000), 'page.example', server.fetch).getJson(BASE, '/a')

    const get = server.requests[1]
    expect([...(get?.headers ?? [])]).toEqual([])
    expect(get?.credentials).toBe('include')
  })

  it('is passed again after a 401, and the GET repeated', async () => {
    const server = new ClinicServer()
    const entrances = new Entrances(tokensThatLast(600_000), 'page.example', server.fetch)
    await entrances.getJson(BASE, '/a')
    server.isEntered = false

    const outcome = await entrances.getJson(BASE, '/b')

    expect(outcome.ok).toBe(true)
    expect(server.methods()).toEqual(['POST', 'GET', 'GET', 'POST', 'GET'])
  })

  it('needs not be passed at the host of the page, whose cookie came with the token', async () => {
    const server = new ClinicServer()
    server.isEntered = true
    const entrances = new Entrances(tokensThatLast(600_000), 'clinic.example', server.fetch)

    await entrances.getJson('https://clinic.example:8443', '/a')

    expect(server.methods()).toEqual(['GET'])
  })

  it('is passed at the host of the page too where that cookie is refused', async () => {
    const server = new ClinicServer()
    const entrances = new Entrances(tokensThatLast(600_000), 'clinic.example', server.fetch)

    const outcome = await entrances.getJson(BASE, '/a')

    expect(outcome.ok).toBe(true)
    expect(server.methods()).toEqual(['GET', 'POST', 'GET'])
  })

  it('is passed again before the cookie ends', async () => {
    const server = new ClinicServer()
    const entrances = new Entrances(tokensThatLast(1_000), 'page.example', server.fetch)

    await entrances.getJson(BASE, '/a')
    await entrances.getJson(BASE, '/b')

    expect(server.methods()).toEqual(['POST', 'GET', 'POST', 'GET'])
  })

  it('says that a dark server is unreachable and tries again when asked', async () => {
    const server = new ClinicServer()
    const entrances = new Entrances(tokensThatLast(600_000), 'page.example', server.fetch)
    server.isDark = true
    const dark = await entrances.getJson(BASE, '/a')
    server.isDark = false
    const light = await entrances.getJson(BASE, '/a')

    expect(dark).toEqual({ ok: false, failure: { kind: 'unreachable' } })
    expect(light.ok).toBe(true)
  })
})
