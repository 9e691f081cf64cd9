import { afterEach, describe, expect, it, vi } from 'vitest'
import { Entrances, succeeded, type Directory, type Outcome } from '.'
import { failed } from './outcome'
import { ranked, Stores } from './stores'
import vectors from '../../../tests/wire/rendezvous.json'

const KEEPER = { id: '10000000-0000-4000-8000-000000000001', base_url: 'https://keeper.example', draws_for: null }
const SECOND = { id: '10000000-0000-4000-8000-000000000002', base_url: 'https://second.example', draws_for: KEEPER.id }
const THIRD = { id: '10000000-0000-4000-8000-000000000003', base_url: 'https://third.example', draws_for: KEEPER.id }
const ALL = [KEEPER, SECOND, THIRD]
const seriesPath = (number: number) => `/dicom-web/studies/1.2/series/1.2.${number}/thumbnail`
const PATHS = Array.from({ length: 300 }, (_, number) => seriesPath(number))

/** What each node answers; those that are dark answer nothing. */
class Nodes {
  readonly dark = new Set<string>()
  readonly asked: string[] = []

  readonly call = async (base: string): Promise<Outcome<string>> => {
    this.asked.push(base)
    return this.dark.has(base) ? failed({ kind: 'unreachable' }) : succeeded(base)
  }

  readonly fetch = async (input: RequestInfo | URL): Promise<Response> => {
    if (this.dark.has(new URL(String(input)).origin)) throw new TypeError('Failed to fetch')
    return Response.json({ status: 'ok' })
  }
}

afterEach(() => void vi.useRealTimers())

describe('nodes over one store', () => {
  it('are ranked for a series as the vectors say that Python shares', () => {
    for (const { nodes, subject, order } of vectors) expect(ranked(nodes, subject)).toEqual(order)
    expect(vectors.length).toBeGreaterThan(20)
  })

  it('share the series among them, about as many each', () => {
    const stores = new Stores(ALL, fetch)
    const counts = ALL.map(({ base_url }) => PATHS.filter((path) => stores.first(KEEPER.base_url, path) === base_url).length)

    expect(Math.min(...counts)).toBeGreaterThan(70)
  })

  it('keep a series with its metadata, frames and times at one of them', () => {
    const stores = new Stores(ALL, fetch)
    const paths = ['/api/studies/1.2/series/1.2.7', '/api/studies/1.2?series=1.2.7', '/dicom-web/studies/1.2/series/1.2.7/instances/1/frames/1/rendered?a=b']

    expect(new Set(paths.map((path) => stores.first(KEEPER.base_url, path))).size).toBe(1)
  })

  it('leave alone what is none of a series, and nodes that draw for nobody', () => {
    const stores = new Stores([...ALL, { id: 'other', base_url: 'https://other.example', draws_for: null }], fetch)

    expect(PATHS.every((path) => stores.first('https://other.example', path) === 'https://other.example')).toBe(true)
    expect(['/api/capacity', '/api/audit/node', '/api/patients/1/studies'].every((path) => stores.first(KEEPER.base_url, path) === KEEPER.base_url)).toBe(true)
  })

  it('pass on the series of one that is dark, leave the others where they are, and take them back', async () => {
    vi.useFakeTimers()
    const nodes = new Nodes()
    const stores = new Stores(ALL, nodes.fetch)
    const before = PATHS.map((path) => stores.first(KEEPER.base_url, path))
    nodes.dark.add(SECOND.base_url)
    const lost = PATHS.findIndex((_, place) => before[place] === SECOND.base_url)

    const answered = await stores.answer(KEEPER.base_url, PATHS[lost]!, nodes.call)

    expect(nodes.asked).toEqual([SECOND.base_url, answered.ok && answered.value])
    const during = PATHS.map((path) => stores.first(KEEPER.base_url, path))
    expect(during).not.toContain(SECOND.base_url)
    expect(PATHS.every((_, place) => before[place] === SECOND.base_url || before[place] === during[place])).toBe(true)
    await vi.advanceTimersByTimeAsync(30_000)
    expect(PATHS.map((path) => stores.first(KEEPER.base_url, path))).toEqual(during)

    nodes.dark.delete(SECOND.base_url)
    await vi.advanceTimersByTimeAsync(10_000)

    expect(PATHS.map((path) => stores.first(KEEPER.base_url, path))).toEqual(before)
  })

  it('say what the last of them said where all are dark', async () => {
    vi.useFakeTimers()
    const nodes = new Nodes()
    for (const { base_url } of ALL) nodes.dark.add(base_url)

    expect(await new Stores(ALL, nodes.fetch).answer(KEEPER.base_url, PATHS[0]!, nodes.call)).toEqual(failed({ kind: 'unreachable' }))
    expect(new Set(nodes.asked).size).toBe(3)
  })

  it('ask who keeps the store for what one that only draws has not heard of, and believe that one', async () => {
    const asked: string[] = []
    const refuse = async (base: string): Promise<Outcome<string>> => {
      asked.push(base)
      return failed({ kind: 'refused', problem: { type: 'not-found', title: '', status: 404 }, retryAfterS: null })
    }
    const stores = new Stores(ALL, fetch)
    const path = PATHS.find((one) => stores.first(KEEPER.base_url, one) === THIRD.base_url)!

    const outcome = await stores.answer(KEEPER.base_url, path, refuse)

    expect(outcome.ok).toBe(false)
    expect(asked).toEqual([THIRD.base_url, KEEPER.base_url])
  })

  it('are entered each by itself, and asked by whoever asks for a series at the one that keeps it', async () => {
    const asked: string[] = []
    const fetching = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
      asked.push(`${init.method ?? 'GET'} ${String(input)}`)
      return init.method === 'POST' ? new Response(null, { status: 204 }) : Response.json({})
    }
    const token = { value: 'token', expiresAt: Date.now() + 600_000 }
    const entrances = new Entrances({ current: async () => token, renewed: async () => token }, 'page.example', fetching)
    entrances.know({ institutions: [{ id: 'i', name: '', base_url: '', nodes: ALL.map((one) => ({ ...one, name: '' })) }] } satisfies Directory)
    const path = PATHS.find((one) => new Stores(ALL, fetch).first(KEEPER.base_url, one) === SECOND.base_url)!

    await entrances.getJson(KEEPER.base_url, path)

    expect(asked).toEqual([`POST ${SECOND.base_url}/api/access`, `GET ${SECOND.base_url}${path}`])
  })
})
