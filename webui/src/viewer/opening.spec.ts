import { afterEach, describe, expect, it, vi } from 'vitest'
import { Entrances, succeeded, type Directory } from '../api'
import { openStudy, type ViewerRoute } from './opening'

const NODE = 'https://box.example:8443'
const ROUTE: ViewerRoute = { at: 'viewer', patientId: null, nodeId: 'one', studyUid: '1.2', seriesUid: null }
const DIRECTORY = { institutions: [{ name: 'Clinic', nodes: [{ id: 'one', base_url: NODE }] }] } as unknown as Directory
const ASKED = `${NODE}/api/studies/1.2?series=first`

const answers = (body: object, status = 200) => new Response(JSON.stringify(body), { status })

function entrances() {
  const asked: string[] = []
  const fetching = vi.fn((url: string | URL | Request) => {
    asked.push(String(url))
    return Promise.resolve(answers({ study: 'asked by the page' }))
  })
  const token = { value: 'token', expiresAt: Date.now() + 600_000 }
  const tokens = { current: () => Promise.resolve(token), renewed: () => Promise.resolve(token) }
  return { asked, entrances: new Entrances(tokens, 'box.example', fetching as typeof fetch) }
}

describe('a study that is opened', () => {
  afterEach(() => delete globalThis.opening)

  it('is the one that the document asked for while the page was on its way', async () => {
    globalThis.opening = Promise.resolve({ url: ASKED, answer: answers({ study: 'asked by the document' }) })
    const { asked, entrances: through } = entrances()

    expect(await openStudy(ROUTE, DIRECTORY, through).answer).toEqual(succeeded({ study: 'asked by the document' }))
    expect(asked).toEqual([])
  })

  it('leaves a node entered that the document has entered for it', async () => {
    const [base, url] = ['https://elsewhere.example', 'https://elsewhere.example/api/studies/1.2?series=first']
    const directory = { institutions: [{ name: 'Clinic', nodes: [{ id: 'one', base_url: base }] }] } as unknown as Directory
    const answer = answers({ study: 'asked by the document' })
    globalThis.opening = Promise.resolve({ url, answer, entered: { base, until: Date.now() + 600_000 } })
    const { asked, entrances: through } = entrances()
    await openStudy(ROUTE, directory, through).answer

    await through.get(base, '/picture')

    expect(asked).toEqual([`${base}/picture`])
  })

  it('is asked for where the document could not', async () => {
    globalThis.opening = Promise.resolve(null)
    const { asked, entrances: through } = entrances()

    expect(await openStudy(ROUTE, DIRECTORY, through).answer).toEqual(succeeded({ study: 'asked by the page' }))
    expect(asked).toEqual([ASKED])
  })

  it.each([
    ['was refused there', ASKED, 401],
    ['is another than that one', `${NODE}/api/studies/1.3?series=first`, 200],
  ])('is asked for where it %s', async (_, url, status) => {
    globalThis.opening = Promise.resolve({ url, answer: answers({ study: 'asked by the document' }, status) })
    const { asked, entrances: through } = entrances()

    expect(await openStudy(ROUTE, DIRECTORY, through).answer).toEqual(succeeded({ study: 'asked by the page' }))
    expect(asked).toEqual([ASKED])
  })

  it('is asked for anew when it is opened again', async () => {
    globalThis.opening = Promise.resolve({ url: ASKED, answer: answers({ study: 'asked by the document' }) })
    const { entrances: through } = entrances()
    await openStudy(ROUTE, DIRECTORY, through).answer

    expect(await openStudy(ROUTE, DIRECTORY, through).answer).toEqual(succeeded({ study: 'asked by the page' }))
  })
})
