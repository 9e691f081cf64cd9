import { describe, expect, it } from 'vitest'
import { failed, succeeded } from '../api'
import { nodeOf, Visit } from './visit'

const answer = (body: object, status = 200) => new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } })

const opened = (token: string, expires_in_s = 600) => ({ access_token: token, expires_in_s, study_uid: '1.2', ends_at: '', institution: null })

function toplevel(answers: Response[]) {
  const asked: string[] = []
  const fetchWith = (_url: unknown, init?: RequestInit) => {
    asked.push(String(init?.body))
    return Promise.resolve(answers.shift()!)
  }
  return { asked, fetchWith: fetchWith as typeof fetch }
}

describe('a visit', () => {
  it('is opened by link and PIN, and its token is used while it is good', async () => {
    const { asked, fetchWith } = toplevel([answer(opened('one'))])
    const visit = new Visit('secret', '123456', fetchWith)

    await visit.open()

    expect((await visit.current())?.value).toBe('one')
    expect(asked).toEqual(['{"secret":"secret","pin":"123456"}'])
  })

  it('asks for another token before the first has ended', async () => {
    const { fetchWith } = toplevel([answer(opened('one', 20)), answer(opened('two'))])
    const visit = new Visit('secret', '123456', fetchWith)
    await visit.open()

    expect((await visit.current())?.value).toBe('two')
  })

  it('asks once for several that want a token', async () => {
    const { asked, fetchWith } = toplevel([answer(opened('one'))])
    const visit = new Visit('secret', '123456', fetchWith)

    await Promise.all([visit.current(), visit.current(), visit.current()])

    expect(asked).toHaveLength(1)
  })

  it('is over when the link was taken back', async () => {
    const { fetchWith } = toplevel([answer(opened('one', 20)), answer({ type: 'share-revoked', title: '', status: 403 }, 403)])
    const visit = new Visit('secret', '123456', fetchWith)
    await visit.open()

    expect(await visit.current()).toBeNull()
  })
})

it('finds the node that holds the study', async () => {
  const away = failed({ kind: 'unreachable' })
  const nodes = ['a', 'b'].map((id) => ({ id, base_url: `https://${id}` }))

  const found = await nodeOf(nodes, (base) => Promise.resolve(base === 'https://b' ? succeeded('the study') : away))

  expect(found).toEqual(succeeded({ id: 'b', answer: 'the study' }))
  expect(await nodeOf(nodes, () => Promise.resolve(away))).toEqual(away)
  expect((await nodeOf([], () => Promise.resolve(away))).ok).toBe(false)
})
