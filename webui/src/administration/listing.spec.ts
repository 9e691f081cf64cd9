import { beforeEach, describe, expect, it } from 'vitest'
import type { TokenSource } from '../api'
import { Listing } from './listing.svelte'
import { Office } from './office'

const ALL = ['a', 'b', 'c', 'd', 'e']
const TOKENS: TokenSource = {
  current: async () => ({ value: 'token', expiresAt: Infinity }),
  renewed: async () => null,
}

/** A server that keeps the rule: parts of two, each after its cursor, and empty filters refused. */
class Server {
  asked: string[] = []
  isAway = false

  fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    if (this.isAway) throw new TypeError('no line')
    expect(new Headers(init?.headers).get('Authorization')).toBe('Bearer token')
    const url = new URL(String(input), 'https://central.example.org')
    this.asked.push(url.search)
    if ([...url.searchParams.values()].some((value) => !value.trim())) return json({ type: 'bad-request', title: 'empty', status: 400 }, 400)
    const found = ALL.filter((letter) => letter >= (url.searchParams.get('search') ?? ''))
    const from = Number(url.searchParams.get('cursor') ?? 0)
    const next = from + 2 < found.length ? String(from + 2) : null
    return json({ letters: found.slice(from, from + 2), total: found.length, next })
  }
}

const json = (body: unknown, status = 200): Response =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } })

let server: Server
let list: Listing<string>

beforeEach(() => {
  server = new Server()
  list = new Listing<string>(new Office(TOKENS, server.fetch), '', '/api/letters', 'letters')
})

describe('a list', () => {
  it('comes part by part until there is nothing more', async () => {
    await list.load({ search: '' })
    while (list.hasMore) await list.loadMore()

    expect(list.rows).toEqual(ALL)
    expect(list.total).toBe(5)
    expect(server.asked).toEqual(['', '?cursor=2', '?cursor=4'])
  })

  it('says its filters with every part', async () => {
    await list.load({ search: 'b', role: ' ' })
    await list.loadMore()

    expect(server.asked).toEqual(['?search=b', '?search=b&cursor=2'])
    expect(list.rows).toEqual(['b', 'c', 'd', 'e'])
  })

  it('begins anew with other filters', async () => {
    await list.load({})
    await list.loadMore()
    await list.load({ search: 'd' })

    expect(list.rows).toEqual(['d', 'e'])
    expect(list.hasMore).toBe(false)
  })

  it('asks for nothing after its end', async () => {
    await list.load({ search: 'd' })
    await list.loadMore()

    expect(server.asked).toHaveLength(1)
  })

  it('keeps what was there, and says so, when the line is lost', async () => {
    await list.load({})
    server.isAway = true
    await list.loadMore()

    expect(list.rows).toEqual(['a', 'b'])
    expect(list.failure).toEqual({ kind: 'unreachable' })
    expect(list.isLoading).toBe(false)

    server.isAway = false
    await list.load()
    expect(list.failure).toBeNull()
  })

  it('shows the newest of what was asked for', async () => {
    const slow = list.load({ search: 'a' })
    await list.load({ search: 'e' })
    await slow

    expect(list.rows).toEqual(['e'])
  })
})
